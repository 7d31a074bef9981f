"""The phase that a layer should have been given, where it is evident and has a name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bnlint.analyses.written import Source
from bnlint.dataflow import Choice, Named, Node, Op
from bnlint.findings import Edit
from bnlint.remedies.flags import Phase, flags, mode_phase, placeholder_phase, told
from bnlint.remedies.names import bindings
from bnlint.trace import NormCall, Run, Trace
from bnlint.words import is_phase_name


def phased(call: NormCall, run: Run, trace: Trace) -> tuple[str, tuple[Edit, ...]]:
    """How the evident phase of a layer is written, and the edits that hand it over; no edits if there is none.

    It is evident if there is one value that is true in the training run and that another layer follows or that is
    called like a phase, or else the mode of a model function.
    """
    found: dict[Node | Choice, tuple[str, tuple[Edit, ...]]] = {}
    for value, phase in _candidates(call, run, trace):
        edits = told(call, phase, trace)
        if edits and (value not in found or len(phase.text) < len(found[value][0])):
            found[value] = phase.text, edits
    if len(found) == 1:
        return next(iter(found.values()))
    mode = mode_phase(call, trace)
    if found or mode is None:
        return "", ()
    return f"mode == {_TRAIN}", told(call, mode, trace)


_TRAIN = "tf.estimator.ModeKeys.TRAIN"


def _candidates(call: NormCall, run: Run, trace: Trace) -> Iterator[tuple[Node | Choice, Phase]]:
    followed = {other.phase for other in trace.of(NormCall) if other is not call}
    world = run.world()
    for placeholder in flags(trace):
        if placeholder.graph is call.layer.graph and world.truth(placeholder) is True:
            phase = placeholder_phase(placeholder, call.output.order, trace)
            if phase is not None and (placeholder in followed or _is_called_so(phase.text)):
                yield placeholder, phase
    for named in call.context.frame.names():
        value = named.holds[0] if named.holds and not named.several else None
        if isinstance(value, Node) and value.op in _FLAGS and value.order < call.output.order:
            if world.truth(value) is True and (value in followed or _is_called_so(named.text)):
                yield value, _local(named, call)


_FLAGS = (Op.PLACEHOLDER, Op.EQUAL, Op.NOT_EQUAL, Op.NOT, Op.AND, Op.OR, Op.IDENTITY)


def _is_called_so(text: str) -> bool:
    return is_phase_name(text.rpartition(".")[2])


def _local(named: Named, call: NormCall) -> Phase:
    """A phase that a name, or an attribute, of the function that builds the layer holds."""
    root = named.text.partition(".")[0]
    definition = call.context.frame.node

    def visible(written: Source, node: ast.AST) -> bool:

        scope = definition if definition is not None else written.tree
        if not written.sees(root, scope, node):
            return False
        return all(written.precedes(made, node) for made in bindings(named.text, scope))

    return Phase(named.text, visible)
