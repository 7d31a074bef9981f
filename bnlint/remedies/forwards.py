"""Edits at the call of a model: telling it the phase."""

from __future__ import annotations

import ast

from bnlint.analyses.written import parameters
from bnlint.dataflow import Const
from bnlint.findings import Edit, RemoveArgument, ReplaceExpression, SetKeyword
from bnlint.trace import Forward, NormCall
from bnlint.words import is_phase_name


def told(forward: Forward, training: bool) -> tuple[Edit, ...]:
    """The edit that makes a call of a model one in training or in inference mode; empty if there is none."""
    given = forward.training
    if given is None:
        names = (parameter.arg for parameter in parameters(forward.context.frame.node))
        phase = next((name for name in names if is_phase_name(name)), str(training))
        return (SetKeyword(forward.site, "training", phase),)
    if isinstance(given, Const) and given.site is not None and given.site.path == forward.site.path:
        written = str(training) if isinstance(given.value, bool) else str(int(training))
        return (ReplaceExpression(given.site, written),)
    return ()


def follows_the_call(call: NormCall, phase: Const) -> tuple[Edit, ...]:
    """The edit by which a layer takes the phase of the call around it, not a constant; empty if there is none."""
    frame, site = call.context.frame, phase.site
    definition = frame.node
    if call.forward is None or site is None or not isinstance(definition, ast.FunctionDef):
        return ()
    defaults = (*definition.args.defaults, *filter(None, definition.args.kw_defaults))
    if any(frame.locate(default) == site for default in defaults):
        return (ReplaceExpression(site, "None"),)
    if site.path != call.site.path or not call.site.line <= site.line <= call.site.end_line:
        return ()
    if any(parameter.arg == "training" for parameter in parameters(definition)):
        return (ReplaceExpression(site, "training"),)
    return (RemoveArgument(site),) if definition.name == "call" else ()
