"""Which files form one program, and whose findings are reported."""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bnlint.check import Options, check
from bnlint.cli import main
from bnlint.findings import Report
from bnlint.program.link import Linker
from bnlint.program.project import Project

MODEL = """\
import tensorflow as tf
def build(x, training=True):
    return tf.layers.batch_normalization(tf.layers.dense(x, 8), training=training)
"""
TRAIN = """\
import tensorflow as tf
from {module} import build
x = tf.placeholder(tf.float32, [None, 8])
step = tf.train.AdamOptimizer().minimize(tf.reduce_mean(build(x)))
with tf.Session() as sess:
    for batch in batches:
        sess.run(step, {{x: batch}})
"""


def lay_out(root: Path, files: dict[str, str]) -> list[Path]:
    paths = []
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        paths.append(path)
    return paths


def programs(root: Path, files: dict[str, str]) -> dict[str, set[str]]:
    found = Linker(Project(root), lay_out(root, files)).programs()
    return {
        program.entry.relative_to(root).as_posix(): {
            file.relative_to(root).as_posix() for file in program.files
        }
        for program in found
    }


NORM = "x = batch_norm(x)"
PROGRAMS = {
    "one file": ({"a.py": NORM}, {"a.py": {"a.py"}}),
    "imported by nobody": ({"a.py": "import b", "b.py": NORM}, {"a.py": {"a.py", "b.py"}}),
    "two entries": ({"a.py": "import m", "b.py": "import m", "m.py": NORM}, {"a.py": {"a.py", "m.py"}, "b.py": {"b.py", "m.py"}}),
    "imported, with a main guard": (
        {"a.py": "import b", "b.py": NORM + "\nif __name__ == '__main__':\n    pass"}, {"a.py": {"a.py", "b.py"}, "b.py": {"b.py"}},
    ),
    "main guard the other way round": (
        {"a.py": "import b", "b.py": NORM + '\nif "__main__" == __name__: pass'}, {"a.py": {"a.py", "b.py"}, "b.py": {"b.py"}},
    ),
    "through a third": ({"a.py": "import b", "b.py": "import c", "c.py": NORM}, {"a.py": {"a.py", "b.py", "c.py"}}),
    "nothing normalises": ({"a.py": "import b", "b.py": "sess.run(x)"}, {}),
    "another program without norm": ({"a.py": NORM, "b.py": "sess.run(x)"}, {"a.py": {"a.py"}}),
    "cycle": ({"a.py": "import b", "b.py": "import a\n" + NORM, "c.py": "import a"}, {"c.py": {"a.py", "b.py", "c.py"}}),
    "cycle without an entry": ({"a.py": "import b", "b.py": "import a\n" + NORM}, {"a.py": {"a.py", "b.py"}}),
    "two cycles": ({"a.py": "import b", "b.py": "import a\n" + NORM, "c.py": "import d", "d.py": "import c"}, {"a.py": {"a.py", "b.py"}}),
    "package": ({"a.py": "from n.m import f", "n/__init__.py": "", "n/m.py": NORM}, {"a.py": {"a.py", "n/m.py"}, "n/__init__.py": {"n/__init__.py"}}),
    "names of a package": ({"a.py": "from n import m", "n/__init__.py": "", "n/m.py": NORM}, {"a.py": {"a.py", "n/__init__.py", "n/m.py"}}),
    "star": ({"a.py": "from b import *", "b.py": NORM}, {"a.py": {"a.py", "b.py"}}),
    "by name": ({"a.py": "import importlib\nimportlib.import_module('n.b')", "n/b.py": NORM}, {"a.py": {"a.py", "n/b.py"}, "n/b.py": {"n/b.py"}}),
    "by a name from elsewhere": (
        {"a.py": "import b\nb.load('m.Net')", "b.py": "def load(n): return __import__(n)", "m.py": NORM},
        {"a.py": {"a.py", "b.py", "m.py"}, "m.py": {"m.py"}},
    ),
    "a text without an import": ({"a.py": "print('m')", "m.py": NORM}, {"m.py": {"m.py"}}),
    "relative": ({"n/__init__.py": "", "n/a.py": "from . import b", "n/b.py": NORM}, {"n/a.py": {"n/__init__.py", "n/a.py", "n/b.py"}}),
}  # fmt: skip
PROGRAMS["package"][1].pop("n/__init__.py")


@pytest.mark.parametrize(
    ("files", "expected"), [pytest.param(*case, id=name) for name, case in PROGRAMS.items()]
)
def test_programs(tmp_path: Path, files: dict[str, str], expected: dict[str, set[str]]) -> None:
    assert programs(tmp_path, files) == expected


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    linker = Linker(Project(tmp_path), [tmp_path / "gone.py"])
    assert linker.unreadable == [(tmp_path / "gone.py", "No such file or directory")]
    assert linker.programs() == []


def report(root: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], *paths: str) -> Report:
    lay_out(root, files)
    monkeypatch.chdir(root)
    return check([root / path for path in paths], Options())


def found(report: Report) -> list[tuple[str, str, int]]:
    assert report.problems == []
    return [(finding.code, finding.location.path, finding.location.line) for finding in report.findings]


LAYOUTS = {
    "beside": ("train.py", "model.py", "model"),
    "package": ("train.py", "nets/model.py", "nets.model"),
    "src": ("scripts/train.py", "src/nets/model.py", "nets.model"),
    "relative of Python 2": ("app/train.py", "app/model.py", "model"),
    "relative": ("app/train.py", "app/model.py", ".model"),
}


@pytest.mark.parametrize(
    ("train", "model", "module"), [pytest.param(*case, id=name) for name, case in LAYOUTS.items()]
)
def test_layouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: str, model: str, module: str
) -> None:
    files = {"setup.py": "", train: TRAIN.format(module=module), model: MODEL}
    seen = report(tmp_path, monkeypatch, files, ".")
    assert found(seen) == [("BN101", train, 4)]
    assert [step.location.path for step in seen.findings[0].steps][:1] == [model]


def test_one_given_file_is_seen_in_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"setup.py": "", "train.py": TRAIN.format(module="nets.model"), "nets/model.py": MODEL}
    assert found(report(tmp_path, monkeypatch, files, "train.py")) == [("BN101", "train.py", 4)]


def test_findings_in_other_files_are_not_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"setup.py": "", "train.py": TRAIN.format(module="nets.model"), "nets/model.py": MODEL}
    assert found(report(tmp_path, monkeypatch, files, "nets/model.py")) == []


def test_findings_in_a_given_module_come_from_the_programs_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODEL.replace(", training=True", "").replace("training=training", "training=False")
    files = {"setup.py": "", "train.py": TRAIN.format(module="nets.model"), "nets/model.py": model}
    seen = report(tmp_path, monkeypatch, files, "nets/model.py")
    assert {finding.location.path for finding in seen.findings} == {"nets/model.py"}
    assert "BN107" in {finding.code for finding in seen.findings}


def test_two_programs_report_a_shared_place_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODEL.replace("training=training", "training=False")
    train = TRAIN.format(module="model")
    seen = found(report(tmp_path, monkeypatch, {"a.py": train, "b.py": train, "model.py": model}, "."))
    assert len(seen) == len(set(seen))
    assert {path for _, path, _ in seen} == {"model.py"}


def test_project_root_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(
        tmp_path,
        {"app/train.py": TRAIN.format(module="nets.model"), "nets/model.py": MODEL, "app/setup.py": ""},
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["check", "app/train.py", "--output-format", "json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    assert main([*arguments, "--project-root", "."]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["path"], finding["line"], finding["steps"][0]["path"]) == (
        "app/train.py",
        4,
        "nets/model.py",
    )


def test_functions_that_no_program_calls_are_checked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = (
        "import tensorflow as tf\n"
        "def f(x):\n"
        "    return tf.layers.batch_normalization(x, False)\n"
    )  # fmt: skip
    assert found(report(tmp_path, monkeypatch, {"library.py": library}, "library.py")) == [
        ("BN204", "library.py", 3)
    ]


SHARED = {
    "attribute of a module": ("P = True", "common.P = False", "common.P"),
    "entry of a dictionary": ("P = {'bn': True}", "common.P['bn'] = False", "common.P['bn']"),
    "entry of a nested dictionary": ("P = {'a': {'bn': True}}", "common.P['a']['bn'] = False", "common.P['a']['bn']"),
    "attribute of a class": ("class P: bn = True", "common.P.bn = False", "common.P.bn"),
    "attribute of an object": ("class Q:\n  def __init__(self): self.bn = True\nP = Q()", "common.P.bn = False", "common.P.bn"),
    "object in a list": ("class Q:\n  def __init__(self): self.bn = True\nP = [Q()]", "common.P[0].bn = False", "common.P[0].bn"),
    "default of a function": ("def P(a=[]):\n  a.append(1)\n  return len(a) == 1", "common.P()", "common.P()"),
}  # fmt: skip


@pytest.mark.parametrize(("common", "change", "phase"), SHARED.values(), ids=SHARED)
def test_what_one_program_changes_in_a_module_is_not_seen_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, common: str, change: str, phase: str
) -> None:
    model = MODEL.replace("import tensorflow as tf", "import tensorflow as tf\nimport common").replace(
        "=training)", f"={phase})"
    )
    train = TRAIN.format(module="model")
    files = {"common.py": common, "model.py": model.replace(", training=True", ""), "b.py": train}
    alone = found(report(tmp_path, monkeypatch, files, "b.py"))
    assert ("BN101", "b.py", 4) in alone
    together = report(tmp_path, monkeypatch, {**files, "a.py": f"import common\n{change}\n{train}"}, ".")
    assert [one for one in found(together) if one[1] == "b.py"] == [one for one in alone if one[1] == "b.py"]


def test_star_imports_of_a_shared_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = "from tensorflow.layers import *\ndef build(x): return batch_normalization(dense(x, 8), training=True)\n"
    train = TRAIN.format(module="model")
    seen = found(report(tmp_path, monkeypatch, {"a.py": train, "b.py": train, "model.py": model}, "."))
    assert seen == [("BN101", "a.py", 4), ("BN101", "b.py", 4)]


REGISTRIES = {
    "dictionary": ("KNOWN = {}\ndef add(f):\n  KNOWN[f.__name__] = f\n  return f", "common.KNOWN['build']"),
    "list": ("KNOWN = []\ndef add(f):\n  KNOWN.append(f)\n  return f", "common.KNOWN[0]"),
    "object": (
        "class R:\n  def __init__(self): self.known = {}\n  def add(self, f):\n    self.known[f.__name__] = f\n    return f\n"
        "R = R()\nadd = R.add",
        "common.R.known['build']",
    ),
    "attribute of an object": (
        "class R:\n  pass\nR = R()\ndef add(f):\n  setattr(R, f.__name__, f)\n  return f", "common.R.build",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("common", "read"), REGISTRIES.values(), ids=REGISTRIES)
def test_what_modules_register_is_there_in_every_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, common: str, read: str
) -> None:
    model = MODEL.replace("def build", "import common\n@common.add\ndef build")
    train = TRAIN.format(module="model").replace("import build", "import tf\nimport common")
    train = train.replace("build(x)", f"{read}(x)")
    other = "import common\n@common.add\ndef other(x): return x\n"
    files = {"common.py": common, "model.py": model, "other.py": other}
    alone = found(report(tmp_path, monkeypatch, {**files, "b.py": train}, "b.py"))
    assert alone == [("BN101", "b.py", 5)]
    both = {
        **files,
        "a.py": train.replace("import common", "import common, other"),
        "b.py": train,
        "c.py": train,
    }
    assert found(report(tmp_path, monkeypatch, both, ".")) == [
        ("BN101", name, 5) for name in ("a.py", "b.py", "c.py")
    ]


REGISTRY = (
    "KNOWN = {}\ndef add(f):\n  for i in range(9):\n    KNOWN[f.__name__ + str(i)] = f\n  return f\n"
    "def create(name):\n  if name not in KNOWN:\n    raise KeyError(name)\n  return KNOWN[name]\n"
)
MANY = "from registry import add\n" + "".join(
    f"@add\ndef f{i}(): return {i}\nT{i} = dict(a=f{i}(), b={i})\n" for i in range(600)
)
LIBRARY = {"registry.py": REGISTRY, **{f"many{i}.py": MANY for i in range(10)}, "model.py": MODEL}
IMPORTS = f"import {', '.join(f'many{i}' for i in range(10))}\n"


def test_a_library_whose_modules_cost_much_does_not_hide_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = IMPORTS + "from registry import create\ncreate('f9')\n" + TRAIN.format(module="model")
    seen = report(tmp_path, monkeypatch, {**LIBRARY, "a.py": train, "b.py": train}, ".")
    assert found(seen) == [("BN101", "a.py", 7), ("BN101", "b.py", 7)]
    assert not seen.summary.incomplete


PHASES = """\
def opposite(f):
    def inner():
        return not f()
    return inner
SWITCHES = {}
def switch(name, value):
    SWITCHES[name] = value
"""
NOT_EXECUTED = {
    "nothing": ("def phase(): return False\n", True),
    "decorator": ("@opposite\ndef phase(): return False\n", False),
    "result of a call": ("def never(): return False\nphase = opposite(never)\n", False),
    "entry of a dictionary": (
        "done = switch('phase', True)\ndef phase(): return SWITCHES.get('phase', False)\n", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("phase", "wrong"), NOT_EXECUTED.values(), ids=NOT_EXECUTED)
def test_what_is_not_executed_in_such_a_library_makes_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, wrong: bool
) -> None:
    phase = "from phases import opposite, switch, SWITCHES\n" + phase
    model = MODEL.replace("import tensorflow", "from phase import phase\nimport tensorflow")
    model = model.replace(", training=True", "").replace("training=training", "training=phase()")
    train = IMPORTS + TRAIN.format(module="model").replace(
        "step = ", "with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):\n  step = "
    )
    train = train.replace("tf.reduce_mean(build(x))", "loss").replace(
        "with tf.control", "loss = tf.reduce_mean(build(x))\nwith tf.control"
    )
    files = {**LIBRARY, "phases.py": PHASES, "phase.py": phase, "model.py": model}
    seen = report(tmp_path, monkeypatch, {**files, "a.py": train, "b.py": train}, ".")
    assert found(seen) == ([("BN107", "model.py", 4)] if wrong else [])
    assert not seen.summary.incomplete
