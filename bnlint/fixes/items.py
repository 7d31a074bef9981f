"""Edits of the items of a dictionary display, in the layout that it has."""

from __future__ import annotations

import libcst as cst

_SPACE = cst.SimpleWhitespace(" ")


def add_item(display: cst.Dict, key: cst.BaseExpression, value: cst.BaseExpression) -> cst.Dict:
    """The display with another item at its end, below the others if each has a line."""
    elements = list(display.elements)
    made = cst.DictElement(_quoted_alike(key, display), value)
    if not elements:
        return display.with_changes(elements=[made])
    last = elements[-1]
    between = _between(display)
    # LibCST keeps what is before the brace with the brace, also behind a comma.
    ending, comment = _apart(display.rbrace.whitespace_before)
    if isinstance(last.comma, cst.Comma):
        made = made.with_changes(comma=last.comma)
    elements[-1] = last.with_changes(comma=cst.Comma(whitespace_after=_joined(comment, between)))
    return display.with_changes(
        elements=[*elements, made], rbrace=display.rbrace.with_changes(whitespace_before=ending)
    )


def _between(display: cst.Dict) -> cst.BaseParenthesizableWhitespace:
    """What stands between two items: a line end where there was one."""
    before: cst.BaseParenthesizableWhitespace = display.lbrace.whitespace_after
    if len(display.elements) > 1:
        comma = display.elements[-2].comma
        before = comma.whitespace_after if isinstance(comma, cst.Comma) else _SPACE
    if isinstance(before, cst.ParenthesizedWhitespace):
        return cst.ParenthesizedWhitespace(indent=before.indent, last_line=before.last_line)
    return _SPACE


def _apart(
    space: cst.BaseParenthesizableWhitespace,
) -> tuple[cst.BaseParenthesizableWhitespace, cst.ParenthesizedWhitespace | None]:
    """The same without comments, and what has the comments, which stay beside the item of which they speak."""
    if isinstance(space, cst.ParenthesizedWhitespace) and (
        space.first_line.comment is not None or any(line.comment for line in space.empty_lines)
    ):
        return cst.ParenthesizedWhitespace(indent=space.indent, last_line=space.last_line), space
    return space, None


def _joined(
    comment: cst.ParenthesizedWhitespace | None, between: cst.BaseParenthesizableWhitespace
) -> cst.BaseParenthesizableWhitespace:
    if comment is None:
        return between
    if isinstance(between, cst.ParenthesizedWhitespace):
        return comment.with_changes(indent=between.indent, last_line=between.last_line)
    return comment


def _quoted_alike(key: cst.BaseExpression, display: cst.Dict) -> cst.BaseExpression:
    """A key that is a string in the quotes of the first key that is one."""
    known = next(
        (
            item.key
            for item in display.elements
            if isinstance(item, cst.DictElement) and isinstance(item.key, cst.SimpleString)
        ),
        None,
    )
    if known is None or not isinstance(key, cst.SimpleString) or known.quote not in ("'", '"'):
        return key
    if known.quote in key.raw_value or "\\" in key.raw_value:
        return key
    return key.with_changes(value=f"{known.quote}{key.raw_value}{known.quote}")
