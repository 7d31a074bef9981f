"""Edits applied to the text of one file, or of one cell of a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import libcst as cst

from bnlint.findings import (
    AddItem,
    AddParameter,
    Edit,
    InsertStatement,
    Location,
    MoveStatement,
    NameArgument,
    RemoveArgument,
    RemoveStatement,
    RenameKeyword,
    ReplaceComment,
    ReplaceExpression,
    SetKeyword,
    WrapStatement,
)
from bnlint.fixes import arguments, expressions, items, parameters
from bnlint.fixes.blocks import Changed, Orders, changed_body, check_header, parsed_lines
from bnlint.fixes.errors import EditError
from bnlint.fixes.names import TensorFlow
from bnlint.fixes.tree import Span, Statement, Tree
from bnlint.source.repair import parse

TF = "{tf}"
"""What stands in the text of an edit for the user's name of TensorFlow."""

Name = Callable[[int], TensorFlow]
"""The user's name of TensorFlow at a line; raises EditError if there is none and none can be had."""

_CONTRADICTION = "two edits of the fix contradict each other"
_Action = Callable[[cst.CSTNode], cst.CSTNode]


@dataclass(slots=True)
class _Plan:
    """What is to be done to one tree."""

    orders: dict[Statement, Orders] = field(default_factory=dict)
    actions: dict[cst.CSTNode, list[tuple[int, _Action]]] = field(default_factory=dict)
    claimed: list[tuple[Span, object]] = field(default_factory=list)
    """The places that are edited, and what in effect is done there."""

    def acted(self, original: cst.CSTNode, updated: cst.CSTNode) -> cst.CSTNode:
        """A node after the actions that are planned for it, of what may have been changed inside it."""
        # Positions of arguments count while none is taken out, and the last goes first.
        for _, action in sorted(self.actions.get(original, ()), key=_turn):
            updated = action(updated)
        return updated


class Draft:
    """A text to which edits are applied, those of one fix after those of another."""

    def __init__(self, tree: Tree, name: Name) -> None:
        self._tree = tree
        self._name = name
        self._plan = _Plan()
        self._imports: dict[str, int] = {}

    def fits(self, edits: Sequence[Edit]) -> bool:
        """Whether edits touch nothing that is edited already, unless they do just the same.

        Raises EditError if they cannot be made at all.
        """
        return all(
            any(effect == done for _, done in self._plan.claimed)
            or not any(span.overlaps(claimed) for claimed, _ in self._plan.claimed)
            for edit in edits
            for span, effect in self._claims(edit)
        )

    def add(self, edits: Sequence[Edit]) -> None:
        """Plan the edits of one fix.

        Raises EditError if they cannot be made.
        """
        done = {id(effect): effect for _, effect in self._plan.claimed}.values()
        claims: list[tuple[Span, object]] = []
        for edit in edits:
            own = self._claims(edit)
            if not any(effect == known for _, effect in own for known in done):
                self._order(edit)
                self._import_for(edit)
            claims += own
        self._plan.claimed += claims
        # Whether they can be made shows now, when it is known whose edits they are.
        for node in self._plan.actions:
            self._plan.acted(node, node)

    def text(self) -> str:
        """The text with all edits.

        Raises EditError if it cannot be read any more.
        """
        if not self._plan.claimed and not self._imports:
            return self._tree.text
        try:
            self._place_imports()
            module = self._tree.module.visit(_Rewrite(self._plan, self._tree))
            assert isinstance(module, cst.Module)
            text = module.code
            parse(text)
        except (
            SyntaxError,
            ValueError,
            cst.CSTValidationError,
            cst.ParserSyntaxError,
            RecursionError,
        ) as error:
            raise EditError("the file would no longer parse") from error
        return text

    def _claims(self, edit: Edit) -> list[tuple[Span, object]]:
        """The places that an edit touches, each with what in effect is done there."""
        tree = self._tree
        kind = type(edit).__name__
        match edit:
            case WrapStatement(location, header):
                statement = self._statement(location)
                return [(tree.spans[statement], (kind, statement, self._filled(header, location)))]
            case MoveStatement(location, before):
                moved, target = self._statement(location), self._statement(before)
                begin = tree.spans[target].start
                return [
                    (tree.spans[moved], (kind, moved, target)),
                    (Span(begin, begin), (kind, moved, target)),
                ]
            case InsertStatement(location, text, after):
                statement = self._statement(location)
                span = tree.spans[statement]
                place = span.end if after else span.start
                return [(Span(place, place), (kind, statement, self._filled(text, location), after))]
            case RemoveStatement(location):
                statement = self._statement(location)
                return [(tree.spans[statement], (kind, statement))]
            case RemoveArgument(location) | NameArgument(location):
                call, index = tree.argument(location)
                return [(tree.spans[call.args[index]], (kind, call, index))]
            case SetKeyword(location, name, value):
                call = tree.call(location)
                return [(tree.spans[call], (kind, call, name, self._filled(value, location)))]
            case RenameKeyword(location, old, new):
                call = tree.call(location)
                return [(tree.spans[call], (kind, call, old, new))]
            case AddParameter(location, name, default):
                definition = tree.definition(location)
                return [(tree.spans[definition.params], (kind, definition, name, default))]
            case AddItem(location, key, value):
                display = tree.expression(location)
                return [(tree.spans[display], (kind, display, key, self._filled(value, location)))]
            case ReplaceExpression(location, text):
                expression = tree.expression(location)
                return [(tree.spans[expression], (kind, expression, self._filled(text, location)))]
            case ReplaceComment(location, text):
                comment = tree.comment(location)
                return [(tree.spans[comment], (kind, comment, text))]

    def _order(self, edit: Edit) -> None:
        tree = self._tree
        match edit:
            case WrapStatement(location, header):
                header = self._filled(header, location)
                check_header(header)
                orders = self._orders(location)
                if header not in orders.wraps:
                    orders.wraps.append(header)
            case MoveStatement(location, before):
                moved, target = self._statement(location), self._statement(before)
                if moved is target or tree.spans[moved].contains(tree.spans[target]):
                    raise EditError("a statement cannot be moved into itself")
                self._orders(location).moved = True
                self._orders(before).arriving.append(moved)
            case InsertStatement(location, text, after):
                inserted = self._filled(text, location)
                parsed_lines(inserted)
                orders = self._orders(location)
                (orders.after if after else orders.before).append(inserted)
            case RemoveStatement(location):
                self._orders(location).removed = True
            case NameArgument(location, name):
                call, index = tree.argument(location)
                self._act(
                    call, 0, _ToArgument(index, lambda made: arguments.name_argument(made, index, name))
                )
            case RenameKeyword(location, old, new):
                self._act(
                    tree.call(location), 1, lambda node: arguments.rename_keyword(_call(node), old, new)
                )
            case SetKeyword(location, name, value):
                parsed = expressions.parse(self._filled(value, location), tree.module)
                self._act(
                    tree.call(location), 2, lambda node: arguments.set_keyword(_call(node), name, parsed)
                )
            case RemoveArgument(location):
                call, index = tree.argument(location)
                self._act(call, 3, _ToArgument(index, lambda made: arguments.remove_argument(made, index)))
            case AddParameter(location, name, default):
                parsed = expressions.parse(default, tree.module)
                self._act(
                    tree.definition(location).params,
                    3,
                    lambda node: parameters.add_parameter(_parameters(node), name, parsed),
                )
            case AddItem(location, key, value):
                item = (
                    expressions.parse(key, tree.module),
                    expressions.parse(self._filled(value, location), tree.module),
                )
                self._act(tree.expression(location), 3, lambda node: items.add_item(_display(node), *item))
            case ReplaceExpression(location, text):
                replaced = tree.expression(location)
                parent = tree.parents[replaced]
                new = self._filled(text, location)
                self._act(
                    replaced,
                    4,
                    lambda node: expressions.replaced(_expression(node), new, parent, tree.module),
                )
            case ReplaceComment(location, text):
                self._comment(tree.comment(location), text)

    def _comment(self, comment: cst.Comment, text: str) -> None:
        if text:
            self._act(comment, 0, lambda node: node.with_changes(value=text))
            return
        around = self._tree.parents[comment]
        if isinstance(around, cst.EmptyLine):
            self._act(around, 0, lambda node: cst.RemoveFromParent())  # type: ignore[arg-type, return-value]
        else:
            self._act(
                around, 0, lambda node: node.with_changes(comment=None, whitespace=cst.SimpleWhitespace(""))
            )

    def _act(self, node: cst.CSTNode, order: int, action: _Action) -> None:
        self._plan.actions.setdefault(node, []).append((order, action))

    def _orders(self, location: Location) -> Orders:
        return self._plan.orders.setdefault(self._statement(location), Orders())

    def _statement(self, location: Location) -> Statement:
        statement = self._tree.statement(location)
        around = self._tree.parents[statement]
        if isinstance(statement, cst.If) and isinstance(around, cst.If):
            raise EditError(f"the statement at line {location.line} is an `elif`")
        return statement

    def _filled(self, text: str, location: Location) -> str:
        return text.replace(TF, self._name(location.line).name) if TF in text else text

    def _import_for(self, edit: Edit) -> None:
        texts = (getattr(edit, name, "") for name in ("header", "text", "value"))
        if any(TF in text for text in texts):
            line = edit.location.line
            if statement := self._name(line).statement:
                self._imports[statement] = min(line, self._imports.get(statement, line))

    def _place_imports(self) -> None:
        """Have the added imports come after those that are there where they are needed."""
        body = self._tree.module.body
        while self._imports:
            statement, line = self._imports.popitem()
            used = (index for index, known in enumerate(body) if self._tree.spans[known].end[0] >= line)
            place = _place_of_import(body[: next(used, len(body))])
            known = body[max(0, place - 1)]
            if isinstance(known, cst.SimpleStatementLine):
                neighbour: cst.CSTNode = known.body[-1 if place else 0]
            else:
                neighbour = known
            orders = self._plan.orders.setdefault(neighbour, Orders())  # type: ignore[arg-type]
            (orders.after if place else orders.before).insert(0, statement)


class _ToArgument:
    """Does something to the argument of a call that has this position."""

    def __init__(self, index: int, work: Callable[[cst.Call], cst.Call]) -> None:
        self.index = index
        self._work = work

    def __call__(self, node: cst.CSTNode) -> cst.CSTNode:
        return self._work(_call(node))


class _Rewrite(cst.CSTTransformer):
    """Carries out a plan; what the plan does not touch is not visited."""

    def __init__(self, plan: _Plan, tree: Tree) -> None:
        super().__init__()
        self._plan = plan
        self._tree = tree
        targets: list[cst.CSTNode] = [*plan.orders, *plan.actions]
        self._touched = {*targets, *(node for target in targets for node in tree.above(target))}

    def on_visit(self, node: cst.CSTNode) -> bool:
        return node in self._touched

    def on_leave(  # type: ignore[override]
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode | cst.RemovalSentinel:
        updated_node = self._plan.acted(original_node, updated_node)
        if isinstance(original_node, (cst.Module, cst.IndentedBlock, cst.SimpleStatementSuite)):
            if original_node in self._touched:
                return changed_body(original_node, updated_node, self._plan.orders, self._changed)
        return updated_node

    def _changed(self, statement: Statement) -> Changed:
        """A statement that is to be moved, with what is changed in it, and the line that it stood on."""
        line = self._tree.parents[statement]
        if isinstance(line, (cst.SimpleStatementLine, cst.SimpleStatementSuite)):
            return Changed(statement.visit(self), line, statement is line.body[-1])
        return Changed(statement.visit(self), statement, True)


def _turn(ordered: tuple[int, _Action]) -> tuple[int, int]:
    order, action = ordered
    return order, -action.index if isinstance(action, _ToArgument) else 0


def _call(node: cst.CSTNode) -> cst.Call:
    if not isinstance(node, cst.Call):
        raise EditError(_CONTRADICTION)
    return node


def _parameters(node: cst.CSTNode) -> cst.Parameters:
    if not isinstance(node, cst.Parameters):
        raise EditError(_CONTRADICTION)
    return node


def _display(node: cst.CSTNode) -> cst.Dict:
    if not isinstance(node, cst.Dict):
        raise EditError("the feed or dictionary is not written as a display")
    return node


def _expression(node: cst.CSTNode) -> cst.BaseExpression:
    if not isinstance(node, cst.BaseExpression):
        raise EditError(_CONTRADICTION)
    return node


def _place_of_import(body: Sequence[cst.BaseStatement | cst.SimpleStatementLine]) -> int:
    """After the last import; without one, after the documentation."""
    place = 0
    for index, statement in enumerate(body):
        if isinstance(statement, cst.SimpleStatementLine):
            first = statement.body[0]
            documentation = (
                index == 0 and isinstance(first, cst.Expr) and isinstance(first.value, cst.BaseString)
            )
            if documentation or isinstance(first, (cst.Import, cst.ImportFrom)):
                place = index + 1
    return place
