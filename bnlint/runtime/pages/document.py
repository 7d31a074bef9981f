"""The report as JSON: the document of ``bnlint check``, and with it ``observations`` and ``checks``.

``bnlint/report/schema.json`` says what it holds.
"""

from __future__ import annotations

import json
import math
from typing import Any

from bnlint.findings import Location, Report
from bnlint.report.json import document
from bnlint.runtime.observed import Figures, LayerFigures, LayerSeen, Observed, Passage
from bnlint.runtime.oracle import TITLES, Outcome, Verification
from bnlint.runtime.pages.account import Cause, Row, account_for
from bnlint.runtime.pages.symptoms import Seen, look


def render_run(observed: Observed, report: Report) -> str:
    """What ``bnlint run --output-format json`` writes."""
    return _text({**document(report), "run": _run(observed), "observations": observations(observed, report)})


def render_verification(verification: Verification, report: Report | None = None) -> str:
    """What ``bnlint verify --output-format json`` writes."""
    report = report or Report()
    return _text({**document(report), **checks(verification, report)})


def observations(observed: Observed, report: Report | None = None) -> list[dict[str, Any]]:
    """The figures of each layer, in the order of the program."""
    rows = {row.layer.key: row for row in account_for(observed, report or Report()).rows}
    return [{**_layer(seen.layer, rows[seen.layer.key]), **_seen(seen)} for seen in look(observed)]


def checks(verification: Verification, report: Report | None = None) -> dict[str, Any]:
    """The twelve checks, and the figures of each layer."""
    rows = {row.layer.key: row for row in account_for(verification, report or Report()).rows}
    return {
        "ok": verification.ok,
        "checks": [
            {
                "check": check,
                "title": title,
                "verdict": verification.verdict(check).value,
                "outcomes": [_outcome(outcome) for outcome in verification.of(check)],
            }
            for check, title in TITLES.items()
        ],
        "observations": [_verified(figures, rows[figures.layer.key]) for figures in verification.layers],
    }


def _run(observed: Observed) -> dict[str, Any]:
    return {
        "entry": observed.entry,
        "frameworks": dict(sorted(observed.frameworks.items())),
        "train_steps": observed.train_steps,
        "evaluations": sum(run.count for run in observed.evaluations()),
        "ended": observed.ended,
        "notes": observed.notes,
    }


def _layer(layer: LayerSeen, row: Row) -> dict[str, Any]:
    return {
        "layer": layer.key,
        "name": layer.name,
        "api": layer.api,
        "framework": layer.framework,
        "place": _place(layer.site),
        "verdict": row.verdict.value,
        "causes": [_cause(cause) for cause in row.causes],
        "channels": layer.channels,
        "axes": layer.axes,
        "epsilon": _number(layer.epsilon),
        "momentum": _number(layer.momentum),
        "trainable": layer.trainable,
        "has_statistics": layer.has_statistics,
        "divergence": _number(row.divergence),
        "statistics": {
            "initial": _pair(layer.initial_mean, layer.initial_variance),
            "last": _pair(layer.last_mean, layer.last_variance),
            "batch": _pair(layer.batch_mean, layer.batch_variance),
        },
    }


def _seen(seen: Seen) -> dict[str, Any]:
    return {
        "independence": _number(seen.layer.independence),
        "training": [_passage(passage) for passage in seen.training],
        "inference": [_passage(passage) for passage in seen.inference],
        "left_out": [_place(run.site) for run in seen.left_out],
    }


def _verified(figures: LayerFigures, row: Row) -> dict[str, Any]:
    return {
        **_layer(figures.layer, row),
        "independence": _number(figures.independence),
        "training": [_passage(figures.train)] if figures.train else [],
        "inference": [_passage(figures.inference)] if figures.inference else [],
        "left_out": [],
    }


def _passage(passage: Passage) -> dict[str, Any]:
    return {
        "formula": passage.mode.value,
        "declared": passage.declared,
        "moved": passage.moved,
        "momentum": _number(passage.momentum),
        "updates": _number(passage.updates),
        "batch_error": _number(passage.batch_error),
        "moving_error": _number(passage.moving_error),
        "tolerance": _number(passage.tolerance),
        "samples": passage.samples,
        "batch": passage.batch,
        "place": _place(passage.site),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "layer": outcome.layer,
        "verdict": outcome.verdict.value,
        "message": outcome.cause,
        "code": outcome.rule or None,
        "measured": _number(outcome.measured),
        "tolerance": _number(outcome.tolerance),
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {"verdict": cause.verdict.value, "message": cause.text, "code": cause.rule or None}


def _pair(mean: Figures | None, variance: Figures | None) -> dict[str, Any]:
    return {"mean": _figures(mean), "variance": _figures(variance)}


def _figures(figures: Figures | None) -> dict[str, Any] | None:
    if figures is None:
        return None
    return {
        "mean": _number(figures.mean),
        "least": _number(figures.least),
        "most": _number(figures.most),
        "first": [_number(value) for value in figures.first],
    }


def _place(where: Location | None) -> dict[str, Any] | None:
    if where is None:
        return None
    return {"path": where.path, "line": where.line, "column": where.column, "cell": where.cell}


def _number(value: float | None) -> float | str | None:
    """A number that JSON can hold; it has no words for those that are not finite."""
    if value is None or math.isfinite(value):
        return None if value is None else float(value)
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
