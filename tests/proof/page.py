"""The page `docs/proof.md`: a table with a row for each rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .cases import CASES, UNSEEN

PAGE = Path(__file__).parents[2] / "docs" / "proof.md"
_TEXT = """# The proof

Each rule is shown on a program from `fixtures/` that has its bug. `bnlint check` reads the program, `bnlint run`
executes it on today's TensorFlow and watches its layers; then it is repaired, read and executed again. This page is
written by the tests that do so (`make proof`), and they fail when something else comes out.

- **Flagged** and **clean after** are what `bnlint check` reports before and after the repair; **fails** and **passes
  after** are what `bnlint run` reports.
- **Fix** is what the fix of the finding may be: `safe`, `unsafe`, or only `shown`. What can be applied was applied
  (`--fix --unsafe-fixes`); elsewhere a program without the bug was taken in its place, which is named.

| Rule | Program | Flagged | Fails | Fix | Clean after | Passes after |
| --- | --- | --- | --- | --- | --- | --- |
"""
_NOTHING = "–"


@dataclass
class Row:
    """What was measured for a rule: codes, separated by commas."""

    code: str
    program: str = ""
    flagged: str = ""
    fails: str = ""
    fix: str = ""
    clean: str = ""
    passes: str = ""
    twin: str = ""

    def line(self) -> str:
        """The row as Markdown."""
        rule = f"[{self.code}](rules/{self.code}.md)"
        if self.code in UNSEEN:
            return _joined(rule, *[_NOTHING] * 6)
        case = CASES[self.code]
        run = [_NOTHING] * 2 if case.unseen else [self.fails or "nothing", _after(self.passes)]
        fix = f"{self.fix}; `{self.twin}`" if self.twin else self.fix
        return _joined(
            rule, f"`{self.program}`", self.flagged or "nothing", run[0], fix, _after(self.clean), run[1]
        )


def page(measured: Mapping[str, str]) -> str:
    """The whole page, with these rows, and those of the rules that nothing can be shown of."""
    lines = {**measured, **{code: Row(code).line() for code in UNSEEN}}
    remarks = dict(UNSEEN)
    for code, case in CASES.items():
        remark = " ".join(filter(None, (case.unseen, case.why)))
        if remark:
            remarks[code] = remark
    told = "\n".join(f"- {code}: {remarks[code]}" for code in sorted(remarks))
    return (
        _TEXT
        + "".join(f"{line}\n" for line in sorted(lines.values()))
        + f"\nWhere something is missing or other:\n\n{told}\n"
    )


def rows(text: str) -> dict[str, str]:
    """The rows of a page by the codes of their rules."""
    return {line[3:].partition("]")[0]: line for line in text.splitlines() if line.startswith("| [")}


def _after(codes: str) -> str:
    return f"no: {codes}" if codes else "yes"


def _joined(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
