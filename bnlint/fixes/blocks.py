"""Blocks of which statements are wrapped, moved, removed, or get new neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import libcst as cst

from bnlint.fixes.errors import EditError
from bnlint.fixes.tree import Statement

Line = cst.SimpleStatementLine | cst.BaseCompoundStatement
Block = cst.Module | cst.IndentedBlock | cst.SimpleStatementSuite


@dataclass(slots=True)
class Orders:
    """What is to be done with one statement."""

    wraps: list[str] = field(default_factory=list)
    """Headers of ``with`` statements, from the innermost on."""
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    arriving: list[Statement] = field(default_factory=list)
    """Statements that are moved to just before this one."""
    moved: bool = False
    removed: bool = False


class Changed(NamedTuple):
    """A statement after its edits, what held it before, and whether it was the last one there."""

    statement: object
    holder: cst.CSTNode
    last: bool


class _Piece(NamedTuple):
    """A statement, or some simple ones that share a line and that nobody asks to separate."""

    originals: tuple[Statement, ...]
    line: Line


Orderbook = Mapping[Statement, Orders]
Fetch = Callable[[Statement], Changed]


def changed_body(original: Block, updated: cst.CSTNode, orders: Orderbook, fetch: Fetch) -> cst.CSTNode:
    """The block with its statements as they are ordered to be; ``fetch`` gives those that arrive."""
    assert isinstance(updated, (cst.Module, cst.IndentedBlock, cst.SimpleStatementSuite))
    held = [statement for line in original.body for statement in _statements(line)]
    if not any(statement in orders for statement in held):
        return updated
    indent = original.indent if isinstance(original, cst.IndentedBlock) else None
    writer = _Writer(orders, fetch, indent)
    for piece in _pieces(original, updated, orders):
        writer.take(piece)
    body = writer.body
    if isinstance(updated, cst.Module):
        return updated.with_changes(body=body, footer=_joined(writer.pending, updated.footer))
    if not body:
        body.append(cst.SimpleStatementLine([cst.Pass()]))
    if isinstance(updated, cst.SimpleStatementSuite):
        return cst.IndentedBlock(body, footer=writer.pending)
    return updated.with_changes(body=body, footer=_joined(writer.pending, updated.footer))


class _Writer:
    """Puts the statements of one block together again."""

    def __init__(self, orders: Orderbook, fetch: Fetch, indent: str | None) -> None:
        self._orders = orders
        self._fetch = fetch
        self._indent = indent
        self.body: list[Line] = []
        self.pending: list[cst.EmptyLine] = []
        """Comments and blank lines of statements that are gone."""

    def take(self, piece: _Piece) -> None:
        """Add a statement and what belongs around it."""
        line = piece.line
        orders = self._orders.get(piece.originals[0]) or Orders()
        following = self._orders.get(piece.originals[-1]) or Orders()
        apart, own = _leading(line)
        self.pending = _joined(self.pending, apart)
        for text in orders.before:
            self._add(*parsed_lines(text))
        for statement in orders.arriving:
            self._add(self._arrived(statement))
        if orders.moved:
            # Its comments go with it.
            pass
        elif orders.removed:
            self.pending = _joined(self.pending, own)
        else:
            # The comments of the statement stay above it, also when it goes under a header.
            wrapped = line.with_changes(leading_lines=[] if orders.wraps else own)
            for number, header in enumerate(orders.wraps, 1):
                block = cst.IndentedBlock([wrapped], indent=self._indent)
                wrapped = check_header(header).with_changes(
                    body=block, leading_lines=own if number == len(orders.wraps) else []
                )
            self._add(wrapped)
        for text in following.after:
            self._add(*parsed_lines(text))

    def _add(self, *lines: Line) -> None:
        for line in lines:
            self.body.append(line.with_changes(leading_lines=_joined(self.pending, line.leading_lines)))
            self.pending = []

    def _arrived(self, statement: Statement) -> Line:
        changed = self._fetch(statement)
        node, holder = changed.statement, changed.holder
        if isinstance(node, cst.BaseCompoundStatement):
            return node.with_changes(leading_lines=_leading(node)[1])
        assert isinstance(node, cst.BaseSmallStatement)
        assert isinstance(holder, (cst.SimpleStatementLine, cst.SimpleStatementSuite))
        first = statement is holder.body[0] and isinstance(holder, cst.SimpleStatementLine)
        return _line(
            [node],
            _leading(holder)[1] if first and isinstance(holder, cst.SimpleStatementLine) else [],
            holder.trailing_whitespace if changed.last else None,
        )


def _pieces(original: Block, updated: Block, orders: Orderbook) -> Iterator[_Piece]:
    """The statements of a block, those of one line apart if one of them is ordered to do something."""
    if isinstance(original, cst.SimpleStatementSuite):
        assert isinstance(updated, cst.SimpleStatementSuite)
        yield from _split(original.body, updated.body, [], updated.trailing_whitespace, orders)
        return
    for old, new in zip(original.body, updated.body, strict=True):
        if isinstance(old, cst.SimpleStatementLine):
            assert isinstance(new, cst.SimpleStatementLine)
            if len(old.body) > 1:
                yield from _split(old.body, new.body, new.leading_lines, new.trailing_whitespace, orders)
            else:
                yield _Piece(tuple(old.body), new)
        else:
            assert isinstance(old, cst.BaseCompoundStatement) and isinstance(new, cst.BaseCompoundStatement)
            yield _Piece((old,), new)


def _split(
    old: Sequence[cst.BaseSmallStatement],
    new: Sequence[cst.BaseSmallStatement],
    leading: Sequence[cst.EmptyLine],
    trailing: cst.TrailingWhitespace,
    orders: Orderbook,
) -> Iterator[_Piece]:
    runs: list[list[int]] = []
    parted = True
    for index, statement in enumerate(old):
        order = orders.get(statement) or Orders()
        alone = bool(order.wraps or order.moved or order.removed)
        if parted or alone or order.before or order.arriving:
            runs.append([])
        runs[-1].append(index)
        parted = alone or bool(order.after)
    for run in runs:
        line = _line(
            [new[index] for index in run],
            leading if run[0] == 0 else [],
            trailing if run[-1] == len(old) - 1 else None,
        )
        yield _Piece(tuple(old[index] for index in run), line)


def _line(
    statements: Sequence[cst.BaseSmallStatement],
    leading: Sequence[cst.EmptyLine],
    trailing: cst.TrailingWhitespace | None,
) -> cst.SimpleStatementLine:
    *first, last = statements
    last = last.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)
    return cst.SimpleStatementLine(
        [*first, last], leading_lines=leading, trailing_whitespace=trailing or cst.TrailingWhitespace()
    )


def check_header(header: str) -> cst.With:
    """The ``with`` statement that a header begins.

    Raises EditError.
    """
    made = parsed_lines(f"with {header}:\n    pass\n")
    if len(made) != 1 or not isinstance(made[0], cst.With):
        raise EditError(f"`with {header}:` is no header")
    return made[0]


def parsed_lines(text: str) -> list[Line]:
    """The statements of a text, in the layout of whatever block they come to stand in.

    Raises EditError.
    """
    try:
        module = cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise EditError(f"`{text.splitlines()[0]}` is no statement") from error
    lines = [
        line for line in module.body if isinstance(line, (cst.SimpleStatementLine, cst.BaseCompoundStatement))
    ]
    if lines:
        lines[0] = lines[0].with_changes(leading_lines=[*module.header, *lines[0].leading_lines])
    return lines


def _statements(line: cst.CSTNode) -> Sequence[Statement]:
    if isinstance(line, cst.SimpleStatementLine):
        return line.body
    assert isinstance(line, (cst.BaseSmallStatement, cst.BaseCompoundStatement))
    return (line,)


def _leading(line: Line) -> tuple[list[cst.EmptyLine], list[cst.EmptyLine]]:
    """The lines above a statement: those up to the last blank one, and the comments right above it."""
    lines = list(line.leading_lines)
    blank = next((i for i in range(len(lines), 0, -1) if lines[i - 1].comment is None), 0)
    return lines[:blank], lines[blank:]


def _joined(first: Sequence[cst.EmptyLine], second: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
    """Lines one after the other, without doubling the blank ones where they meet."""
    rest = list(second)
    if first and first[-1].comment is None:
        while rest and rest[0].comment is None:
            rest.pop(0)
    return [*first, *rest]
