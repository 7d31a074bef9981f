"""The table of rules, as the command line prints it and the documentation shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bnlint.findings import Applicability, RuleInfo
from bnlint.rule import PROMISES

HEADER = ("Code", "Name", "Group", "Fixable", "Summary")

FIXABLE = {
    Applicability.SAFE: "safe",
    Applicability.UNSAFE: "unsafe",
    Applicability.DISPLAY: "shown",
}
"""How the table calls what may be done with a fix."""

_INTRODUCTION = """\
# Rules

Each rule is one bug. Its group is a promise:

{promises}

Fixable says what a rule's fixes may be; a rule can have several kinds, because the same bug is not always
repaired in the same way:

- `safe`: does what the author evidently meant. `--fix` applies it.
- `unsafe`: changes how the model trains or infers. `--fix --unsafe-fixes` applies it.
- `shown`: only shown, because you have to decide.

`bnlint rules` prints this table, and `bnlint rule CODE` the page of a rule.

"""


def row(rule: RuleInfo) -> tuple[str, ...]:
    """The cells of a rule, in the order of ``HEADER``."""
    fixable = ", ".join(FIXABLE[kind] for kind in rule.fixable) or "no"
    return rule.code, rule.name, rule.group.value, fixable, rule.summary


def text(rules: Iterable[RuleInfo]) -> str:
    """The table in columns."""
    rows = [tuple(map(str.lower, HEADER)), *map(row, rules)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() + "\n"
        for cells in rows
    )


def markdown(rules: Iterable[RuleInfo]) -> str:
    """The page ``docs/rules.md``: what the columns mean, and the table."""
    promises = "\n".join(f"- `{group.value}`: {promise}." for group, promise in PROMISES.items())
    lines = [HEADER, tuple("---" for _ in HEADER)]
    for rule in rules:
        code, name, *others = row(rule)
        lines.append((f"[{code}](rules/{code}.md)", f"`{name}`", *map(_escaped, others)))
    return _INTRODUCTION.format(promises=promises) + "".join(map(_markdown_row, lines))


def json(rules: Iterable[RuleInfo]) -> str:
    """The table for programs; ``fixable`` has the words that findings have."""
    from json import dumps

    entries = [
        {
            "code": rule.code,
            "name": rule.name,
            "group": rule.group.value,
            "fixable": [kind.value for kind in rule.fixable],
            "summary": rule.summary,
        }
        for rule in rules
    ]
    return dumps(entries, indent=2, ensure_ascii=False) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
