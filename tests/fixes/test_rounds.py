"""Fixes are kept only if they do what they promise and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bnlint.findings import (
    Applicability,
    Finding,
    Fix,
    Group,
    Location,
    Problem,
    ReplaceExpression,
    Report,
    Summary,
)
from bnlint.fixes import Outcome, repair
from bnlint.fixes.errors import EditError
from bnlint.source.files import Overlay

from .conftest import FIXED, PROGRAM, TRAIN, WITH, Run

FIXTURES = Path(__file__).parents[2] / "fixtures"
Found = list[tuple[str, str, "str | None"]]
Rules = Callable[[str], Found]


class World:
    """Some files, and rules that find words in them.

    ``rules`` gives, for a line, code, word and what the word is to become, if anything.
    """

    def __init__(self, folder: Path, rules: Rules, **files: str) -> None:
        self.files = {folder / f"{name}.py": text for name, text in files.items()}
        for path, text in self.files.items():
            path.write_text(text)
        self.rules = rules
        self.looks = 0
        self.problem: Callable[[str], bool] = lambda text: False

    def look(self, overlay: Overlay) -> Report:
        self.looks += 1
        report = Report(summary=Summary(analysed=[path.name for path in self.files]))
        for path in self.files:
            text = overlay.get(path, path.read_bytes()).decode()
            if self.problem(text):
                report.problems.append(Problem(path.name, 1, "It is broken."))
            for number, line in enumerate(text.split("\n"), 1):
                for code, word, new in self.rules(line):
                    for match in re.finditer(rf"\b{re.escape(word)}\b", line):
                        where = Location(path.name, number, match.start() + 1, number, match.end() + 1)
                        fix = None
                        if new is not None:
                            fix = Fix(Applicability.SAFE, "fix it", (ReplaceExpression(where, new),))
                        report.findings.append(Finding(code, "word", Group.ERROR, where, word, fix=fix))
        report.everything = list(report.findings)
        return report

    def repair(self) -> Outcome:
        return repair(self.look({}), self.look)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    monkeypatch.chdir(tmp_path)
    return lambda rules, **files: World(tmp_path, rules, **files)


Make = Callable[..., World]


def words(**rules: str | None) -> Rules:
    """Rules of which each finds the word of its name in lower case."""
    return lambda line: [(code, code.lower(), new) for code, new in rules.items()]


def after(outcome: Outcome) -> dict[str, str]:
    return {path.name: change.after.decode() for path, change in outcome.changes.items()}


def left(outcome: Outcome) -> list[tuple[str, int]]:
    return [(finding.code, finding.location.line) for finding in outcome.report.findings]


def reasons(outcome: Outcome) -> dict[str, str]:
    return {refused.finding.code: refused.reason for refused in outcome.report.refused}


def test_all_are_fixed_in_one_pass(world: Make) -> None:
    made = world(words(A="x"), a="a\nb = a\n", b="f(a, a)\n")
    outcome = made.repair()
    assert after(outcome) == {"a.py": "x\nb = x\n", "b.py": "f(x, x)\n"}
    assert [(finding.location.path, finding.location.line) for finding in outcome.report.fixed] == [
        ("a.py", 1),
        ("a.py", 2),
        ("b.py", 1),
        ("b.py", 1),
    ]
    assert left(outcome) == []
    assert made.looks == 2


def test_nothing_is_to_be_fixed(world: Make) -> None:
    made = world(words(A=None), a="a\n")
    outcome = made.repair()
    assert (outcome.changes, left(outcome), made.looks) == ({}, [("A", 1)], 1)


def test_edits_that_overlap_wait_for_the_next_pass(world: Make) -> None:
    # What is found in the whole call and in a part of it.
    def rules(line: str) -> Found:
        return [("A", "f(b)", "g(b)"), ("B", "b", "c")] if "f(b)" in line else [("B", "b", "c")]

    made = world(lambda line: [(c, w, n) for c, w, n in rules(line)], a="f(b)\n")
    made.rules = lambda line: [("A", "f", "g"), ("B", "b", "c")]
    assert after(made.repair()) == {"a.py": "g(c)\n"}


def test_a_finding_that_stays_is_refused(world: Make) -> None:
    made = world(lambda line: [("A", "a", "a + 1"), ("B", "b", "c")], a="a\nb\n")
    outcome = made.repair()
    assert after(outcome) == {"a.py": "a\nc\n"}
    assert reasons(outcome) == {"A": "the finding would still be there"}
    assert left(outcome) == [("A", 1)]
    assert [finding.code for finding in outcome.report.fixed] == ["B"]


def test_a_fix_that_brings_about_another_finding_is_refused(world: Make) -> None:
    made = world(words(A="b", B=None, C="d"), a="x\na\nc\n")
    outcome = made.repair()
    assert after(outcome) == {"a.py": "x\na\nd\n"}
    assert reasons(outcome) == {"A": "it would bring about B at a.py:2"}
    assert left(outcome) == [("A", 2)]


def test_a_fix_may_bring_about_what_can_be_fixed(world: Make) -> None:
    made = world(words(A="b", B="c", C="d"), a="a\n")
    outcome = made.repair()
    assert after(outcome) == {"a.py": "d\n"}
    assert [finding.code for finding in outcome.report.fixed] == ["A"]
    assert left(outcome) == []


def test_a_fix_that_leads_to_another_without_end_is_refused(world: Make) -> None:
    outcome = world(words(A="b", B="a"), a="a\n").repair()
    assert outcome.changes == {}
    assert reasons(outcome) == {"A": "the finding would come back"}


def test_at_most_ten_passes(world: Make) -> None:
    chain = {chr(ord("A") + index): chr(ord("a") + index + 1) for index in range(15)}
    made = world(words(**chain), a="a\n")
    outcome = made.repair()
    assert outcome.changes == {}
    assert reasons(outcome) == {"A": "it would bring about K at a.py:1"}


def test_one_bad_fix_among_many_is_found(world: Make) -> None:
    text = "".join(f"a{number}\n" for number in range(20))
    made = world(
        lambda line: (
            [("A", f"a{number}", "bad" if number == 13 else f"x{number}") for number in range(20)]
            + [("B", "bad", None)]
        ),
        a=text,
    )
    outcome = made.repair()
    assert after(outcome) == {"a.py": re.sub(r"a(?!13\b)(\d+)", r"x\1", text)}
    assert left(outcome) == [("A", 14)]
    # One by one would have taken twenty.
    assert made.looks < 16


def test_a_problem_that_a_fix_brings_about(world: Make) -> None:
    made = world(words(A="b"), a="a\n")
    made.problem = lambda text: "b" in text
    outcome = made.repair()
    assert outcome.changes == {}
    assert reasons(outcome) == {"A": "a.py could not be checked any more: It is broken."}


def test_a_fix_that_cannot_be_made_does_not_keep_the_others(world: Make) -> None:
    outcome = world(lambda line: [("A", "a", "1 +"), ("B", "b", "c")], a="a\nb\n").repair()
    assert after(outcome) == {"a.py": "a\nc\n"}
    assert reasons(outcome) == {"A": "`1 +` is no expression"}


def test_a_file_that_cannot_be_written_again_does_not_keep_the_others(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bnlint.fixes import splice

    made = world(words(A="x"), bad="a\n", good="a\n", other="a\n")
    spliced = splice.spliced_bytes

    def refuse(data: bytes, before: str, after: str) -> bytes:
        if data == b"a\n":
            raise EditError("it is bad")
        return spliced(data, before, after)

    next(path for path in made.files if path.name == "good.py").write_text("b = a\n")
    next(path for path in made.files if path.name == "other.py").write_text("c = a\n")
    monkeypatch.setattr(splice, "spliced_bytes", refuse)
    outcome = made.repair()
    assert after(outcome) == {"good.py": "b = x\n", "other.py": "c = x\n"}
    assert reasons(outcome) == {"A": "it is bad"}


def test_findings_keep_their_names_when_lines_move(run: Run, tmp_path: Path) -> None:
    # The same finding twice, one of which can be fixed only after the other moved it.
    twice = PROGRAM + PROGRAM.replace("import tensorflow as tf\n", "with tf.Graph().as_default():\n").replace(
        "\n", "\n    "
    ).rstrip(" ")
    (tmp_path / "train.py").write_text(twice)
    done = run("--fix", "train.py")
    assert (tmp_path / "train.py").read_text().count(WITH) == 2, done
    assert done.returncode == 0


def test_fixes_outside_of_the_project_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("a\n")
    (tmp_path / "lib.py").write_text("a\n")
    where, there = Location("a.py", 1, 1, 1, 2), Location("lib.py", 1, 1, 1, 2)
    fix = Fix(Applicability.SAFE, "", (ReplaceExpression(where, "b"), ReplaceExpression(there, "b")))
    finding = Finding("A", "a", Group.ERROR, where, "a", fix=fix)
    report = Report([finding], summary=Summary(analysed=["a.py"]), everything=[finding])
    outcome = repair(report, lambda overlay: pytest.fail("there is nothing to look at"))
    assert outcome.changes == {}
    assert [refused.reason for refused in outcome.report.refused] == ["lib.py is not a part of the project"]


def test_code_that_is_nested_deeply(run: Run, tmp_path: Path) -> None:
    deep = "if x == 0:\n    pass\n" + "".join(f"elif x == {number}:\n    pass\n" for number in range(900))
    (tmp_path / "train.py").write_text(PROGRAM + deep)
    done = run("--fix", "train.py")
    assert (tmp_path / "train.py").read_text() == FIXED + deep, done.stdout


def test_python_2_is_reported_and_not_fixed(run: Run, tmp_path: Path) -> None:
    text = PROGRAM + "print 'done'\n"
    (tmp_path / "train.py").write_text(text)
    done = run("--fix", "train.py")
    assert (tmp_path / "train.py").read_text() == text
    assert done.returncode == 1
    assert "Python 2" in done.stdout + done.stderr


def test_a_file_with_a_broken_statement_is_not_fixed(run: Run, tmp_path: Path) -> None:
    text = PROGRAM + "x = = 1\n"
    (tmp_path / "train.py").write_text(text)
    done = run("--diff", "train.py")
    assert done.stdout == ""
    assert done.returncode == 2
    assert "parts that cannot be read" in done.stderr


def test_unsafe_fixes_only_when_they_are_asked_for(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    before = (FIXTURES / "bn202" / "bad_flags_swapped.py").read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    assert run("--select", "BN202", "--fix", "train.py").returncode == 1
    assert path.read_text(encoding="utf-8") == before
    done = run("--select", "BN202", "--fix", "--unsafe-fixes", "train.py")
    assert path.read_text(encoding="utf-8") != before, done
    assert done.returncode == 0


def test_what_is_suppressed_is_not_fixed(run: Run, tmp_path: Path) -> None:
    text = PROGRAM.replace(TRAIN, f"{TRAIN}  # bnlint: ignore[BN101] on purpose")
    (tmp_path / "train.py").write_text(text)
    assert run("--fix", "train.py").returncode == 0
    assert (tmp_path / "train.py").read_text() == text


def test_a_fixed_program_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(FIXED)
    done = run("--diff", "train.py")
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_files_of_one_fix_are_partners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("a\n")
    places = [Location(name, 1, 1, 1, 2) for name in ("a.py", "b.py")]
    fix = Fix(Applicability.SAFE, "", tuple(ReplaceExpression(where, "b") for where in places))
    finding = Finding("A", "a", Group.ERROR, places[0], "a", fix=fix)
    summary = Summary(analysed=["a.py", "b.py"])
    outcome = repair(
        Report([finding], summary=summary, everything=[finding]), lambda o: Report(summary=summary)
    )
    first, second = (tmp_path / name for name in ("a.py", "b.py"))
    assert {path: change.partners for path, change in outcome.changes.items()} == {
        first: frozenset({second}),
        second: frozenset({first}),
    }
