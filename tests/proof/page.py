"""The page `docs/proof.md`: a table with a row for each rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .cases import CASES, UNSEEN, Case

PAGE = Path(__file__).parents[2] / "docs" / "proof.md"
_TEXT = """# The proof

Each rule is shown on a program from `fixtures/` that has its bug. `bnlint check` reads the program, `bnlint run`
executes it and watches its layers; then it is repaired, read and executed again. This page is
written by the tests that do so (`make proof`), and they fail when something else comes out.

- **Flagged** and **clean after** are what `bnlint check` reports before and after the repair; **fails** and **passes
  after** are what `bnlint run` reports.
- **Fix** is what the fix of the finding may be: `safe`, `unsafe`, or only `shown`. What can be applied was applied
  (`--fix --unsafe-fixes`); elsewhere a program without the bug was taken in its place, which is named.

- **On** is what it is run on. TensorFlow 1 is its API on today's TensorFlow, Keras 2 is tf-keras.

| Rule | Program | On | Flagged | Fails | Fix | Clean after | Passes after |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
_NOTHING = "–"


@dataclass
class Row:
    """What was measured for a rule: codes, separated by commas."""

    code: str
    case: Case | None = None
    flagged: str = ""
    fails: str = ""
    fix: str = ""
    clean: str = ""
    passes: str = ""

    def line(self) -> str:
        """The row as Markdown."""
        rule = f"[{self.code}](rules/{self.code}.md)"
        case = self.case
        if case is None:
            return _joined(rule, *[_NOTHING] * 7)
        program = f"{self.code.lower()}/{case.program}"
        on, fails, passes = ", ".join(case.on), self.fails or "nothing", _after(self.passes)
        if case.unseen:
            on = fails = passes = _NOTHING
        fix = f"{self.fix}; `{self.code.lower()}/{case.twin}`" if case.twin else self.fix
        flagged = self.flagged or "nothing"
        return _joined(rule, f"`{program}`", on, flagged, fails, fix, _after(self.clean), passes)


def page(measured: Mapping[str, str]) -> str:
    """The whole page, with these rows, and those of the rules that nothing can be shown of."""
    lines = {**measured, **{code: Row(code).line() for code in UNSEEN}}
    remarks = dict(UNSEEN)
    for code, cases in CASES.items():
        parts = [part for case in cases for part in (case.unseen, case.why) if part]
        remark = " ".join(dict.fromkeys(parts))
        if remark:
            remarks[code] = remark
    told = "\n".join(f"- {code}: {remarks[code]}" for code in sorted(remarks))
    return (
        _TEXT
        + "".join(f"{line}\n" for line in sorted(lines.values()))
        + f"\nWhere something is missing or other:\n\n{told}\n"
    )


def rows(text: str) -> dict[str, str]:
    """The rows of a page, each by what it is about: see :func:`key`."""
    found = {}
    for line in text.splitlines():
        if line.startswith("| ["):
            code, program = line[3:].partition("]")[0], line.split(" | ")[1].strip("`")
            found[code if program == _NOTHING else program] = line
    return found


def key(code: str, case: Case) -> str:
    """What a row is about: a program; the code of a rule that has none."""
    return f"{code.lower()}/{case.program}"


def _after(codes: str) -> str:
    return f"no: {codes}" if codes else "yes"


def _joined(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
