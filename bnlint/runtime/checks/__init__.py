"""The twelve checks: from what was measured to verdicts. Nothing is run here."""

from __future__ import annotations

from collections.abc import Iterator

from bnlint.runtime.checks import convergence, formulas, movement, whole
from bnlint.runtime.checks.case import Case
from bnlint.runtime.measurements import Measurements
from bnlint.runtime.oracle import Outcome

_IN_ORDER = (
    whole.finite,
    formulas.training,
    formulas.inference,
    movement.moves,
    movement.still,
    convergence.converges,
    convergence.agrees,
    convergence.shifted,
    whole.independent,
    whole.same_layers,
    whole.round_trip,
    movement.frozen,
)
"""The order matters: what a check finds out may make another one moot."""


def outcomes(measurements: Measurements) -> Iterator[Outcome]:
    """The verdicts, layer by layer in the order of the layers."""
    converged = measurements.converged
    divergence = None if isinstance(converged, str) else convergence.first_divergence(measurements, converged)
    for norm in measurements.norms:
        case = Case(norm, measurements, divergence, set())
        if not measurements.train.of(norm.key) and not measurements.infer.of(norm.key):
            cause = norm.unseen or "the layer ran neither in the training step nor in the inference"
            for check in range(1, 13):
                yield case.skipped(check, cause)
            continue
        for ask in _IN_ORDER:
            yield ask(case)
