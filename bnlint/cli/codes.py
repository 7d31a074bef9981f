"""The codes of rules, as users write them."""

from __future__ import annotations

from collections.abc import Sequence

from bnlint.errors import UserError


def codes(values: Sequence[str] | None, option: str) -> tuple[str, ...]:
    """The codes that an option gives, each of which is the beginning of a rule's code.

    Raises UserError if no rule has such a code.
    """
    if values is None:
        return ()
    codes = dict.fromkeys(
        code.strip().upper() for value in values for code in value.split(",") if code.strip()
    )
    if not codes:
        raise UserError(f"{option} needs the code of a rule, such as BN101; `bnlint rules` lists them.")
    from bnlint.registry import no_such_rule, rules

    for code in codes:
        if code == "ALL" and option != "--ignore":
            continue
        if not any(rule.code.startswith(code) for rule in rules()):
            raise UserError(no_such_rule(code))
    return tuple(codes)
