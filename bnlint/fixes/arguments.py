"""Edits of the arguments of a call, in the layout that the call has."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from bnlint.fixes.errors import EditError
from bnlint.fixes.layout import NOTHING, has_comment, joined, last_line, like, without_comment

_EQUAL = cst.AssignEqual(whitespace_before=NOTHING, whitespace_after=NOTHING)


def set_keyword(call: cst.Call, name: str, value: cst.BaseExpression) -> cst.Call:
    """The call with ``name=value``, in the place of the argument of that name or at the end."""
    arguments = list(call.args)
    for index, argument in enumerate(arguments):
        if argument.keyword is not None and argument.keyword.value == name:
            arguments[index] = argument.with_changes(value=value)
            return call.with_changes(args=arguments)
    made = cst.Arg(value, keyword=cst.Name(name), equal=_EQUAL)
    if not arguments:
        return call.with_changes(args=[made])
    last = arguments[-1]
    if isinstance(last.value, cst.GeneratorExp) and not last.value.lpar:
        last = last.with_changes(
            value=last.value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        )
    between = _between(call, arguments)
    if isinstance(last.comma, cst.Comma):
        comma = last.comma
        arguments[-1] = last.with_changes(comma=comma.with_changes(whitespace_after=joined(comma, between)))
        made = made.with_changes(comma=cst.Comma(whitespace_after=without_comment(comma.whitespace_after)))
    else:
        ending = last.whitespace_after_arg
        if has_comment(ending):
            assert isinstance(ending, cst.ParenthesizedWhitespace)
            # The comment stays beside the argument of which it speaks.
            last = last.with_changes(whitespace_after_arg=NOTHING)
            between = ending.with_changes(last_line=last_line(between))
        else:
            last = last.with_changes(whitespace_after_arg=NOTHING)
        arguments[-1] = last.with_changes(comma=cst.Comma(whitespace_after=between))
        made = made.with_changes(whitespace_after_arg=without_comment(ending))
    return call.with_changes(args=[*arguments, made])


def rename_keyword(call: cst.Call, old: str, new: str) -> cst.Call:
    """The call with the keyword argument ``old`` called ``new``."""
    names = [argument.keyword.value for argument in call.args if argument.keyword is not None]
    if old not in names:
        raise EditError(f"the call has no argument `{old}`")
    if new in names:
        raise EditError(f"the call has an argument `{new}` already")
    return call.with_changes(
        args=[
            argument.with_changes(keyword=argument.keyword.with_changes(value=new))
            if argument.keyword is not None and argument.keyword.value == old
            else argument
            for argument in call.args
        ]
    )


def name_argument(call: cst.Call, index: int, name: str) -> cst.Call:
    """The call with a positional argument passed by name."""
    argument = call.args[index]
    if argument.keyword is not None or argument.star:
        raise EditError("the argument is not positional")
    if any(later.keyword is None and later.star != "**" for later in call.args[index + 1 :]):
        raise EditError("another positional argument follows")
    if any(other.keyword is not None and other.keyword.value == name for other in call.args):
        raise EditError(f"the call has an argument `{name}` already")
    arguments = list(call.args)
    arguments[index] = argument.with_changes(keyword=cst.Name(name), equal=_EQUAL)
    return call.with_changes(args=arguments)


def remove_argument(call: cst.Call, index: int) -> cst.Call:
    """The call without one of its arguments."""
    arguments = list(call.args)
    gone = arguments.pop(index)
    if not arguments:
        # What surrounds the arguments goes with the last of them.
        return call.with_changes(args=[], whitespace_before_args=NOTHING)
    if index == len(arguments):
        arguments[-1] = arguments[-1].with_changes(
            comma=gone.comma, whitespace_after_arg=gone.whitespace_after_arg
        )
    return call.with_changes(args=arguments)


def _between(call: cst.Call, arguments: Sequence[cst.Arg]) -> cst.BaseParenthesizableWhitespace:
    """What is to stand between the last argument and a new one: a line end where there was one."""
    if len(arguments) > 1:
        comma = arguments[-2].comma
        return like(comma.whitespace_after if isinstance(comma, cst.Comma) else NOTHING)
    return like(call.whitespace_before_args)
