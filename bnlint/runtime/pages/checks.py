"""The account of a model that ``bnlint.verify`` has put to the twelve checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bnlint.findings import Report
from bnlint.runtime.observed import LayerFigures, Mode, Passage
from bnlint.runtime.oracle import TITLES, Outcome, Verdict, Verification
from bnlint.runtime.pages.account import WORST_FIRST, Account, Cause, Cell, Row, in_order, whole, worst
from bnlint.runtime.pages.symptoms import inverted
from bnlint.runtime.pages.words import ABSENT, average, plain, sentence

_WORDS = {
    Mode.BATCH: "batch",
    Mode.MOVING: "moving",
    Mode.BOTH: "either",
    Mode.NEITHER: "neither",
    Mode.UNKNOWN: ABSENT,
}
PREDICATES = {
    1: "does not normalise with the batch in training | do not normalise with the batch in training",
    2: "does not use its moving statistics in inference | do not use their moving statistics in inference",
    3: "does not learn its statistics as it should | do not learn their statistics as they should",
    4: "goes on learning in inference | go on learning in inference",
    5: "does not learn the statistics of the data | do not learn the statistics of the data",
    6: "disagrees between training and inference | disagree between training and inference",
    7: "does not notice that data has shifted | do not notice that data has shifted",
    8: "mixes the samples of a batch in inference | mix the samples of a batch in inference",
    9: "is not the same in training and in inference | are not the same in training and in inference",
    10: "is not restored from a checkpoint | are not restored from a checkpoint",
    11: "is frozen and moves | are frozen and move",
    12: "has statistics that cannot be right | have statistics that cannot be right",
}
"""What a layer does that fails a check, and several."""
_MANY = dict(both.split(" | ") for both in PREDICATES.values())
_ONE = {check: both.split(" | ")[0] for check, both in PREDICATES.items()}
_SO = {
    1: "The model is not trained with normalised values.",
    2: "A prediction depends on what else is in the batch, or on statistics that are not those of the data.",
    3: "Inference uses what was learned; without it, the model computes something else there than what was trained.",
    4: "Using the model changes it.",
    5: "Inference normalises with statistics that are not those of the data.",
    6: "The model computes something else in inference than what was trained.",
    7: "Inference seems to normalise with the statistics of the batch.",
    8: "A prediction depends on which other samples are in its batch.",
    9: "What is measured and used is another network than the one that was trained.",
    10: "A model that is read from a checkpoint computes something else than the one that was saved.",
    11: "A frozen layer should leave its stored statistics alone.",
    12: "Nothing that inference computes with them is of use.",
}
"""What comes of it."""


def account_of_verification(verification: Verification, report: Report, title: str = "") -> Account:
    """What the twelve checks say of each layer, and of the model."""
    keys = {figures.layer.key for figures in verification.layers}
    rows = [_row(figures, verification) for figures in verification.layers]
    model = [outcome for outcome in verification.outcomes if outcome.layer not in keys]
    verdict = worst([outcome.verdict for outcome in verification.outcomes] or [row.verdict for row in rows])
    said = [*_sentences(rows, model, verdict)]
    return Account(
        title=plain(title or "the model"),
        verdict=verdict,
        sentence=said[0],
        more=said[1:],
        rows=in_order(rows),
        causes=[_cause(outcome) for outcome in model if outcome.verdict is not Verdict.PASS],
        notes=[*map(plain, verification.notes), *map(plain, report.notes)],
        many=_MANY,
        facts=[*_facts(verification)],
        findings=list(report.findings),
    )


def _row(figures: LayerFigures, verification: Verification) -> Row:
    layer = figures.layer
    mine = [outcome for outcome in verification.outcomes if outcome.layer == layer.key]
    told = [outcome for outcome in mine if outcome.verdict is not Verdict.PASS]
    told.sort(key=lambda outcome: WORST_FIRST.index(outcome.verdict))
    wrong = {outcome.check for outcome in told if outcome.verdict in (Verdict.FAIL, Verdict.WARN)}
    causes = [_cause(outcome) for outcome in told]
    return Row(
        layer=layer,
        verdict=Verdict(figures.verdict),
        training=_formula(figures.train, bad=1 in wrong),
        inference=_formula(figures.inference, bad=2 in wrong),
        moved=_moved(figures, wrong),
        momentum=_momentum(figures, wrong),
        divergence=figures.divergence,
        independence=_independence(figures, wrong),
        headline=causes[0].what if wrong else "",
        causes=causes,
        train_sample=figures.train_sample,
        inference_sample=figures.inference_sample,
    )


def _cause(outcome: Outcome) -> Cause:
    text = sentence(plain(outcome.cause)) or sentence(TITLES[outcome.check])
    if outcome.verdict is Verdict.SKIP:
        text = f"Not checked whether {TITLES[outcome.check]}: {plain(outcome.cause)}"
        return Cause(outcome.verdict, sentence(text), outcome.rule, "could not be checked in everything")
    return Cause(outcome.verdict, text, outcome.rule, _ONE[outcome.check], _SO[outcome.check])


def _formula(passage: Passage | None, bad: bool) -> Cell:
    return Cell(_WORDS[passage.mode], bad) if passage else Cell("not run", bad)


def _moved(figures: LayerFigures, wrong: set[int]) -> Cell:
    if not figures.layer.has_statistics:
        return Cell("has none", bad=3 in wrong)
    moved = figures.train.moved if figures.train else None
    answer = {True: "yes", False: "no", None: ABSENT}[moved]
    if figures.inference and figures.inference.moved:
        return Cell(f"{answer}, and in inference", bad=True)
    return Cell(answer, bad=(3 in wrong and not moved) or 11 in wrong)


def _momentum(figures: LayerFigures, wrong: set[int]) -> Cell:
    declared = figures.layer.momentum
    measured = figures.train.momentum if figures.train else None
    if declared is None and measured is None:
        return Cell(ABSENT)
    shown = (kept if kept is None else figures.layer.momentum_of(kept) for kept in (declared, measured))
    text = " / ".join(map(average, shown))
    if declared is not None and measured is not None and inverted(declared, measured):
        return Cell(f"{text} inverted", bad=True)
    return Cell(text, bad=3 in wrong and bool(figures.train and figures.train.moved))


def _independence(figures: LayerFigures, wrong: set[int]) -> Cell:
    if figures.independence is None:
        return Cell(ABSENT, bad=8 in wrong)
    return Cell("yes", bad=8 in wrong) if figures.independence <= 1 else Cell("no", bad=True)


def _sentences(rows: list[Row], model: list[Outcome], verdict: Verdict) -> Iterator[str]:
    """The verdict in plain words first, and what else is wrong."""
    wanted = (Verdict.FAIL, Verdict.WARN)
    bad = [row for row in rows if row.verdict is verdict and row.headline] if verdict in wanted else []
    groups = Counter(row.headline for row in bad)
    for headline, number in groups.most_common():
        yield _group(headline, number, len(rows))
    for check in dict.fromkeys(outcome.check for outcome in model if outcome.verdict is verdict):
        if verdict in wanted:
            yield f"The model as a whole does not pass the check that {TITLES[check]}."
    if verdict in wanted:
        if not bad and not any(outcome.verdict is verdict for outcome in model):
            yield "Something is wrong with the model; the causes are below."
    elif not rows:
        yield "No batch-norm layer was found in the model."
    elif verdict is Verdict.SKIP:
        yield "Nothing could be checked."
    else:
        which = whole(sum(row.verdict is not Verdict.SKIP for row in rows), len(rows))
        does = "does" if which.startswith("The only") else "do"
        yield f"{which} {does} what {'it' if does == 'does' else 'they'} should, in training and in inference."


def _group(headline: str, number: int, total: int) -> str:
    text = headline if number == 1 else _MANY.get(headline, headline)
    return f"{whole(number, total)} {text}."


def _facts(verification: Verification) -> Iterator[tuple[str, str]]:
    frameworks = sorted({figures.layer.framework for figures in verification.layers})
    if any(frameworks):
        yield "Framework", ", ".join(map(plain, filter(None, frameworks)))
    yield "Batch-norm layers", f"{len(verification.layers):,}"
    numbers = Counter(verification.verdict(check) for check in TITLES)
    yield (
        "Checks",
        ", ".join(f"{numbers[verdict]} {verdict.value}" for verdict in Verdict if numbers[verdict]),
    )
