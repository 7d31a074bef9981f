"""Puts an expression into the place of another without changing what belongs together."""

from __future__ import annotations

import libcst as cst

from bnlint.fixes.errors import EditError

_OLD = "{old}"
_ATOMS = (
    cst.Name,
    cst.Attribute,
    cst.Call,
    cst.Subscript,
    cst.BaseNumber,
    cst.BaseString,
    cst.Ellipsis,
    cst.List,
    cst.Set,
    cst.Dict,
    cst.BaseSimpleComp,
    cst.DictComp,
)
_OPEN = (
    cst.Arg,
    cst.Element,
    cst.DictElement,
    cst.Assign,
    cst.AnnAssign,
    cst.AugAssign,
    cst.Return,
    cst.Expr,
    cst.Index,
    cst.Param,
    cst.Module,
    cst.If,
    cst.While,
    cst.Lambda,
)
"""Nodes in which an expression may stand without parentheses."""
_LOOSE = (cst.Tuple, cst.GeneratorExp, cst.Yield, cst.NamedExpr)
"""Expressions that need parentheses almost everywhere."""


def parse(text: str, module: cst.Module, quote: str = "") -> cst.BaseExpression:
    """The expression that a text is, with a kind of quotes, by default the one that the module prefers."""
    try:
        parsed = cst.parse_expression(text, config=module.config_for_parsing)
    except cst.ParserSyntaxError as error:
        raise EditError(f"`{text}` is no expression") from error
    code = quote or module.code.replace('"""', "")
    if "'" not in text or code.count("'") >= code.count('"'):
        return parsed
    requoted = parsed.visit(_DoubleQuotes())
    assert isinstance(requoted, cst.BaseExpression)
    return requoted


def replaced(
    old: cst.BaseExpression, text: str, parent: cst.CSTNode, module: cst.Module
) -> cst.BaseExpression:
    """The expression ``text``, in which ``{old}`` is ``old``, as it has to be written below ``parent``."""
    quote = old.quote if isinstance(old, cst.SimpleString) else ""
    new = parse(text.replace(_OLD, _placeholder(text)), module, quote)
    bare = old.with_changes(lpar=[], rpar=[])
    if _OLD in text:
        filled = new.visit(_Fill(_placeholder(text), bare))
        assert isinstance(filled, cst.BaseExpression)
        new = filled
    if old.lpar:
        # The parentheses may be there to let the expression go over several lines.
        return new.with_changes(lpar=[*old.lpar, *new.lpar], rpar=[*new.rpar, *old.rpar])
    return _fitting(new, parent)


def _placeholder(text: str) -> str:
    name = "old_"
    while name in text:
        name += "_"
    return name


def _fitting(node: cst.BaseExpression, parent: cst.CSTNode) -> cst.BaseExpression:
    return node if isinstance(parent, _OPEN) and not isinstance(node, _LOOSE) else _closed(node)


def _closed(node: cst.BaseExpression) -> cst.BaseExpression:
    if node.lpar or isinstance(node, _ATOMS):
        return node
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


class _DoubleQuotes(cst.CSTTransformer):
    """Puts plain strings into double quotes."""

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        text = updated_node.raw_value
        if updated_node.quote != "'" or '"' in text or "\\" in text:
            return updated_node
        return updated_node.with_changes(value=f'{updated_node.prefix}"{text}"')


class _Fill(cst.CSTTransformer):
    """Puts an expression where a name stands, in parentheses if what is around could take it apart."""

    def __init__(self, name: str, value: cst.BaseExpression) -> None:
        super().__init__()
        self._name = name
        self._value = value
        self._around: list[cst.CSTNode] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        self._around.append(node)
        return True

    def on_leave(
        self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT
    ) -> cst.CSTNodeT | cst.RemovalSentinel | cst.FlattenSentinel[cst.CSTNodeT]:
        self._around.pop()
        if not isinstance(original_node, cst.Name) or original_node.value != self._name:
            return updated_node
        if not self._around:
            return self._value  # type: ignore[return-value]
        return _fitting(self._value, self._around[-1])  # type: ignore[return-value]
