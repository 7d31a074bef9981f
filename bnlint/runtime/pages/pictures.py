"""The pictures of the page: Matplotlib draws them as SVG, which takes its colours from the page.

A picture is the same for the same figures: no date, no identifiers by chance. Colours are names of the page's CSS
variables, so that one picture serves light and dark; what a colour says is also said by a line style or a word.
"""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import Any

from bnlint.runtime.observed import LayerSeen
from bnlint.runtime.oracle import Verdict
from bnlint.runtime.pages.account import Row
from bnlint.runtime.pages.words import number, plain

INK, SOFT, GRID = "#010101", "#020202", "#030303"
BATCH, MOVING = "#040404", "#050505"
FAIL, WARN, PASS = "#060606", "#070707", "#080808"
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    GRID: "--line",
    BATCH: "--batch",
    MOVING: "--moving",
    FAIL: "--fail",
    WARN: "--warn",
    PASS: "--pass",
}
_OF_VERDICT = {Verdict.FAIL: FAIL, Verdict.WARN: WARN, Verdict.PASS: PASS, Verdict.SKIP: SOFT}
_MARKERS = {Verdict.FAIL: "X", Verdict.WARN: "^", Verdict.PASS: "o", Verdict.SKIP: "."}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,
}
_MOST_POINTS = 128
_MOST_NAMES = 6
_FONT = re.compile(r"font: ([\d.]+)px [^;\"]*")
_LONG = re.compile(r"(\d+\.\d{2})\d+")
_TAG = re.compile(r"<[^>]*>")
_EXTRAS = re.compile(r"\s*<metadata>.*?</metadata>|\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>", re.DOTALL)


@contextmanager
def drawing() -> Iterator[None]:
    """Pictures are drawn inside; what the user has configured for Matplotlib does not matter there."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # Only the browser's fonts matter, and they have more characters.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def statistics(row: Row) -> str:
    """The moving statistics against those of the batches, over the steps or, without a history, for some channels."""
    layer = row.layer
    if layer.track:
        return _over_steps(row)
    if layer.last_mean and layer.last_variance and layer.batch_mean and layer.batch_variance:
        return _by_channel(row)
    return _distances(row) if layer.history else ""


def outputs(row: Row) -> str:
    """The output in inference over that in training, for the same input."""
    pairs = [
        (x, y)
        for x, y in zip(row.train_sample, row.inference_sample, strict=False)
        if math.isfinite(x) and math.isfinite(y)
    ][:_MOST_POINTS]
    if not pairs:
        return ""
    figure, axes = _figure(2.9, 2.5)
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    least, most = min(*xs, *ys), max(*xs, *ys)
    room = (most - least or 1.0) * 0.06
    ends = (least - room, most + room)
    axes.plot(ends, ends, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    axes.scatter(xs, ys, s=9, color=_OF_VERDICT[row.verdict], alpha=0.75, linewidths=0)
    axes.set(xlim=ends, ylim=ends, xlabel="output in training", ylabel="output in inference")
    axes.set_title("Same input, both ways")
    label = (
        f"Scatter plot of {len(pairs)} outputs of {_name(row.layer)}: in inference from {number(min(ys))} to "
        f"{number(max(ys))}, in training from {number(min(xs))} to {number(max(xs))}."
    )
    return _svg(figure, label, "outputs", row.layer.key)


def divergences(rows: Sequence[Row]) -> str:
    """How far training and inference are apart, for each layer in the order of the program."""
    known = [
        (n, row)
        for n, row in enumerate(rows, 1)
        if row.divergence is not None and math.isfinite(row.divergence)
    ]
    if not known:
        return ""
    few = len(rows) <= 12
    figure, axes = _figure(5.6, 0.8 + 0.26 * len(rows) if few else 2.4)
    values = [max(row.divergence or 0.0, 1e-4) for _, row in known]
    low = 10 ** math.floor(math.log10(min(values)))
    for (n, row), value in zip(known, values, strict=True):
        colour = _OF_VERDICT[row.verdict]
        heavy = 2.5 if few else 1.2
        marker = {"marker": _MARKERS[row.verdict], "markersize": 7 if row.verdict is Verdict.FAIL else 4}
        points = ([low, value], [n, n]) if few else ([n, n], [low, value])
        axes.plot(*points, color=colour, linewidth=heavy, markevery=[1], **marker)
    if few:
        axes.set_xscale("log")
        axes.set_yticks(range(1, len(rows) + 1), [_short(_name(row.layer), 28) for row in rows])
        axes.set_ylim(len(rows) + 0.6, 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("divergence, in standard deviations (log scale)")
        axes.set_xlim(low, max(values) * 2)
        _plain_numbers(axes.xaxis)
    else:
        axes.set_yscale("log")
        axes.grid(axis="x", visible=False)
        axes.set(xlabel="layer, in the order of the program", ylabel="divergence (log scale)")
        axes.set_xlim(0, len(rows) + 1)
        axes.set_ylim(low, max(values) * 3)
        _plain_numbers(axes.yaxis)
        _name_the_worst(axes, known, len(rows))
    worst_n, worst_row = max(known, key=lambda pair: pair[1].divergence or 0.0)
    label = (
        f"Chart of the divergence of {len(known)} layers. The largest is {number(worst_row.divergence)} standard "
        f"deviations, of layer {worst_n}, {_name(worst_row.layer)}."
    )
    return _svg(figure, label, "divergences", *(row.layer.key for row in rows))


def spark(row: Row) -> str:
    """A small picture of a layer: how far its moving statistics were off those of the batches, step by step."""
    points = [(step, max(a, b)) for step, a, b in row.layer.history if math.isfinite(a) and math.isfinite(b)]
    if len(points) < 2:
        return ""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.3, 0.3))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.05, 1.0, 0.9))
    axes.set_axis_off()
    points = points[:: max(1, len(points) // 30)]
    axes.plot([x for x, _ in points], [y for _, y in points], color=_OF_VERDICT[row.verdict], linewidth=1.2)
    axes.set_ylim(bottom=0)
    first, last = number(points[0][1]), number(points[-1][1])
    label = f"Distance from the statistics of the batches: {first} at first, {last} at last."
    return _svg(figure, label, "spark", row.layer.key)


def _over_steps(row: Row) -> str:
    track = [point for point in row.layer.track if all(map(math.isfinite, point))]
    if not track:
        return ""
    figure, (above, below) = _figure(4.5, 2.5, rows=2)
    steps = [point[0] for point in track]
    for axes, name, r, b in ((above, "Mean", 1, 2), (below, "Variance", 3, 4)):
        batch, moving = [point[b] for point in track], [point[r] for point in track]
        axes.plot(steps, batch, color=BATCH, linewidth=1, linestyle=(0, (1, 1)))
        axes.plot(steps, moving, color=MOVING, linewidth=2)
        axes.set_title(name)
        axes.margins(x=0.02, y=0.15)
        axes.locator_params(axis="y", nbins=4)
        room = 0.12 * (max(*batch, *moving) - min(*batch, *moving) or 1.0)
        near = abs(batch[-1] - moving[-1]) < 2 * room
        up = batch[-1] >= moving[-1]
        if not near:
            for values, text, colour in ((batch, "batches", BATCH), (moving, "moving", MOVING)):
                axes.annotate(
                    text,
                    (steps[-1], values[-1]),
                    xytext=(4, 0),
                    textcoords="offset points",
                    color=colour,
                    va="center",
                    annotation_clip=False,
                )
        else:
            text, colour = ("batches and moving", INK)
            axes.annotate(
                text,
                (steps[-1], max(batch[-1], moving[-1]) if up else moving[-1]),
                xytext=(0, 8),
                textcoords="offset points",
                color=colour,
                ha="right",
            )
    above.tick_params(labelbottom=False)
    below.set_xlabel("training step")
    last = track[-1]
    label = (
        f"Line chart over {len(track)} of the training steps of {_name(row.layer)}. At the last one the moving mean is "
        f"{number(last[1])} and that of the batch {number(last[2])}; the moving variance is {number(last[3])} and that "
        f"of the batch {number(last[4])}."
    )
    return _svg(figure, label, "track", row.layer.key)


def _by_channel(row: Row) -> str:
    layer = row.layer
    assert layer.last_mean and layer.batch_mean and layer.last_variance and layer.batch_variance
    figure, panels = _figure(4.5, 2.5, rows=2)
    means = (layer.last_mean.first, layer.batch_mean.first)
    variances = (layer.last_variance.first, layer.batch_variance.first)
    for axes, name, (moving, batch) in zip(panels, ("Mean", "Variance"), (means, variances), strict=True):
        pairs = [pair for pair in zip(moving, batch, strict=False) if all(map(math.isfinite, pair))]
        places = range(1, len(pairs) + 1)
        axes.vlines(places, [m for m, _ in pairs], [b for _, b in pairs], color=GRID, linewidth=1.5)
        axes.plot(
            places, [b for _, b in pairs], "o", color=BATCH, markersize=6, fillstyle="none", label="batch"
        )
        axes.plot(
            places,
            [m for m, _ in pairs],
            "x",
            color=MOVING,
            markersize=5,
            markeredgewidth=1.8,
            label="moving",
        )
        axes.set_title(name)
        axes.locator_params(axis="y", nbins=4)
        axes.set_xlim(0.5, max(len(pairs), 1) + 0.5)
        axes.margins(y=0.2)
    panels[0].tick_params(labelbottom=False)
    panels[0].legend(
        frameon=False, fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 0.95), borderpad=0
    )
    panels[1].set_xlabel("channel (the first ones)")
    label = (
        f"Chart of the first channels of {_name(layer)}. On average the moving mean is {number(layer.last_mean.mean)} "
        f"and that of the batch {number(layer.batch_mean.mean)}; the moving variance is "
        f"{number(layer.last_variance.mean)} and that of the batch {number(layer.batch_variance.mean)}."
    )
    return _svg(figure, label, "channels", layer.key)


def _distances(row: Row) -> str:
    points = [point for point in row.layer.history if all(map(math.isfinite, point))]
    if not points:
        return ""
    figure, axes = _figure(4.5, 2.5)
    steps = [step for step, _, _ in points]
    axes.plot(steps, [mean for _, mean, _ in points], color=MOVING, linewidth=2, label="mean")
    axes.plot(
        steps,
        [variance for _, _, variance in points],
        color=BATCH,
        linewidth=2,
        linestyle="--",
        label="variance",
    )
    axes.set(xlabel="training step", ylabel="distance, relative")
    axes.set_title("Moving statistics off those of the batches")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    label = (
        f"Line chart of the distance of the moving statistics of {_name(row.layer)} from those of the batches. At the "
        f"last step it is {number(points[-1][1])} for the mean and {number(points[-1][2])} for the variance."
    )
    return _svg(figure, label, "distances", row.layer.key)


def _name_the_worst(axes: Any, known: Sequence[tuple[int, Row]], total: int) -> None:
    bad = [(n, row) for n, row in known if row.verdict in (Verdict.FAIL, Verdict.WARN)]
    for n, row in sorted(bad, key=lambda pair: -(pair[1].divergence or 0.0))[:_MOST_NAMES]:
        right = n > total * 0.6
        axes.annotate(
            _short(_name(row.layer), 30),
            (n, max(row.divergence or 0.0, 1e-4)),
            xytext=(-6 if right else 6, 2),
            textcoords="offset points",
            ha="right" if right else "left",
            color=_OF_VERDICT[row.verdict],
            fontsize=9,
        )


def _plain_numbers(axis: Any) -> None:
    """Numbers at the powers of ten of a logarithmic axis; Matplotlib would write formulas."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 2)))
    axis.set_minor_formatter(NullFormatter())


def _figure(width: float, height: float, rows: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, 1, sharex=rows > 1)


def _svg(figure: Any, label: str, *about: str) -> str:
    """The figure as an element for the page, with a description for those who do not see it."""
    import matplotlib

    out = StringIO()
    # Identifiers must differ between the pictures of a page, and must not differ between two pages.
    matplotlib.rcParams["svg.hashsalt"] = hashlib.sha256(
        "\0".join(about).encode("utf-8", "replace")
    ).hexdigest()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = _EXTRAS.sub("", text[text.index("<svg") :])
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    wanted = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", text))
    # Only within tags: what is between them may be a name.
    text = _TAG.sub(lambda tag: _tidied(tag[0], wanted), text)
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert view is not None
    head = (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {view[1]} {view[2]}" '
        f'style="max-width: {float(view[1]) * 1.4:.0f}px">'
    )
    return head + text[text.index(">") + 1 :].rstrip("\n")


def _tidied(tag: str, wanted: set[str]) -> str:
    tag = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in wanted else "", tag)
    tag = _LONG.sub(r"\1", _FONT.sub(r"font-size: \1px", tag))
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, f"var({variable})")
    return re.sub(r"\s*\n\s*", " ", tag)


def _name(layer: LayerSeen) -> str:
    return plain(layer.name or layer.key)


def _short(text: str, most: int) -> str:
    """The text with its middle left out if it is long: the end tells layers apart."""
    return text if len(text) <= most else f"{text[: most // 3]}…{text[-(most - most // 3 - 1) :]}"
