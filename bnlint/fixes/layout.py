"""The space and the comments between things that commas separate."""

from __future__ import annotations

import libcst as cst

NOTHING = cst.SimpleWhitespace("")


def like(space: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    """What is to stand behind a new comma, after the model of other space: a line end if there is one."""
    if isinstance(space, cst.ParenthesizedWhitespace):
        return cst.ParenthesizedWhitespace(indent=space.indent, last_line=space.last_line)
    return cst.SimpleWhitespace(" ")


def joined(comma: cst.Comma, between: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    """What follows a comma that was the last, with something new after it."""
    after = comma.whitespace_after
    if isinstance(after, cst.ParenthesizedWhitespace) and has_comment(after):
        return after.with_changes(last_line=last_line(between), indent=_indent(between))
    return between


def without_comment(ending: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    """The same without comments: they stay where they are."""
    if isinstance(ending, cst.ParenthesizedWhitespace) and has_comment(ending):
        return cst.ParenthesizedWhitespace(indent=ending.indent, last_line=ending.last_line)
    return ending


def has_comment(space: cst.BaseParenthesizableWhitespace) -> bool:
    """Whether there is a comment in it."""
    return isinstance(space, cst.ParenthesizedWhitespace) and (
        space.first_line.comment is not None or any(line.comment for line in space.empty_lines)
    )


def last_line(space: cst.BaseParenthesizableWhitespace) -> cst.SimpleWhitespace:
    """The indentation of what follows."""
    return space.last_line if isinstance(space, cst.ParenthesizedWhitespace) else cst.SimpleWhitespace("    ")


def _indent(space: cst.BaseParenthesizableWhitespace) -> bool:
    return space.indent if isinstance(space, cst.ParenthesizedWhitespace) else True
