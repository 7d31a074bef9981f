"""How the batch normalisation of a network stays frozen when the network is made trainable."""

from __future__ import annotations

import ast

from bnlint.analyses.written import Source, bound, is_plain, source
from bnlint.findings import Edit, InsertStatement, ReplaceExpression
from bnlint.trace import Freeze, NormCall, Trace

_KEPT = "for layer in {model}.layers:\n    if isinstance(layer, {norm}):\n        layer.trainable = False"


def keep_frozen(freeze: Freeze, call: NormCall, trace: Trace) -> tuple[Edit, ...]:
    """The edits after which a change of ``trainable`` leaves out batch normalisation; none where it is not plain."""
    written = source(freeze.site, trace)
    target = written.at(freeze.site, ast.Attribute) if written is not None else None
    statement = written.statement(target) if written is not None and target is not None else None
    if written is None or target is None or not isinstance(statement, ast.Assign):
        return ()
    norm = _norm(written)
    if norm is None or statement.targets != [target] or not is_plain(target.value):
        return ()
    if freeze.target is not call.layer.owner:
        scope = written.scope(statement)
        text = _KEPT.format(model=ast.unparse(target.value), norm=norm)
        free = not bound("layer", scope)
        return (InsertStatement(written.locate(statement), text, after=True),) if free else ()
    loop = written.around(statement, ast.For)
    if loop is None or not isinstance(statement.value, ast.Constant):
        return ()
    text = f"not isinstance({ast.unparse(target.value)}, {norm})"
    return (ReplaceExpression(written.locate(statement.value), text),)


def _norm(written: Source) -> str | None:
    """How a file writes the class ``BatchNormalization`` of Keras, by what it imports at its top."""
    found: dict[str, str] = {}
    for node in getattr(written.tree, "body", ()):
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            origin = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            found.setdefault(f"{origin}{alias.name}", alias.asname or alias.name)
    for module in ("keras", "tensorflow.keras", "tf_keras"):
        for inner in ("layers.BatchNormalization", "layers"):
            if f"{module}.{inner}" in found:
                name = found[f"{module}.{inner}"]
                return name if inner != "layers" else f"{name}.BatchNormalization"
        if module in found:
            return f"{found[module]}.layers.BatchNormalization"
    tensorflow = found.get("tensorflow")
    return None if tensorflow is None else f"{tensorflow}.keras.layers.BatchNormalization"
