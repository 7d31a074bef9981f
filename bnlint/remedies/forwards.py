"""Edits at the call of a model: telling it the phase."""

from __future__ import annotations

from bnlint.dataflow import Const
from bnlint.findings import Edit, ReplaceExpression, SetKeyword
from bnlint.trace import Forward


def told(forward: Forward, training: bool) -> tuple[Edit, ...]:
    """The edit that makes a call of a model one in training or in inference mode; empty if there is none."""
    given = forward.training
    if given is None:
        return (SetKeyword(forward.site, "training", str(training)),)
    if isinstance(given, Const) and given.site is not None and given.site.path == forward.site.path:
        written = str(training) if isinstance(given.value, bool) else str(int(training))
        return (ReplaceExpression(given.site, written),)
    return ()
