"""Edits of the parameters of a function, in the layout that they have."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from bnlint.fixes.errors import EditError
from bnlint.fixes.layout import NOTHING, has_comment, joined, last_line, like, without_comment

_EQUAL = cst.AssignEqual(whitespace_before=NOTHING, whitespace_after=NOTHING)


def add_parameter(parameters: cst.Parameters, name: str, default: cst.BaseExpression) -> cst.Parameters:
    """The parameters with ``name=default``, behind all others but those that are collected in a dictionary.

    Behind a star it can be given by keyword only, else by position too.
    """
    star = parameters.star_arg
    known = [*parameters.posonly_params, *parameters.params, *parameters.kwonly_params]
    if any(parameter.name.value == name for parameter in known):
        raise EditError(f"the function has a parameter `{name}` already")
    made = cst.Param(cst.Name(name), default=default, equal=_EQUAL)
    if parameters.kwonly_params:
        return parameters.with_changes(kwonly_params=_with(parameters.kwonly_params, made, parameters))
    if isinstance(star, cst.Param):
        before, last = _with([star], made, parameters)
        return parameters.with_changes(star_arg=before, kwonly_params=[last])
    if parameters.params:
        return parameters.with_changes(params=_with(parameters.params, made, parameters))
    raise EditError("the function has no parameter behind which there is place for another")


def _with(group: Sequence[cst.Param], made: cst.Param, parameters: cst.Parameters) -> list[cst.Param]:
    """Parameters with a new one at their end."""
    *others, last = group
    before = others[-1].comma if others else None
    between = like(before.whitespace_after if isinstance(before, cst.Comma) else NOTHING)
    comma, ending = last.comma, last.whitespace_after_param
    if not isinstance(comma, cst.Comma):
        if has_comment(ending):
            assert isinstance(ending, cst.ParenthesizedWhitespace)
            # The comment stays beside the parameter of which it speaks.
            between = ending.with_changes(last_line=last_line(between))
        last = last.with_changes(comma=cst.Comma(whitespace_after=between), whitespace_after_param=NOTHING)
        return [*others, last, made.with_changes(whitespace_after_param=without_comment(ending))]
    after = cst.Comma(whitespace_after=without_comment(comma.whitespace_after))
    if parameters.star_kwarg is None:
        last = last.with_changes(comma=comma.with_changes(whitespace_after=joined(comma, between)))
    return [*others, last, made.with_changes(comma=after)]
