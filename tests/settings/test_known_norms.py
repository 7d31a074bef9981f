"""`known-norm-layers`: layers of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnlint.findings import Applicability, Edit, Finding, Fix, Group, Location, SetKeyword, WrapStatement
from bnlint.frameworks.library import Library
from bnlint.settings.model import KnownNorm, Settings
from bnlint.settings.norms import KnownNorms

from .conftest import UNUSED, Folder

MYLIB = "from mylib.layers import bn\n"
LIKE = "tf.layers.batch_normalization"
OWN = f'known-norm-layers."mylib.layers.bn" = {{like = "{LIKE}", parameters = ["x", "is_train", "scope"], arguments = {{is_train = "training", scope = "name"}}}}\n'  # noqa: E501


def program(call: str, imports: str = MYLIB) -> str:
    return imports + UNUSED.format(norm=call)


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        (MYLIB, "bn(x, phase)"),
        (MYLIB, "bn(x, is_train=phase)"),
        (MYLIB, "bn(is_train=phase, x=tf.layers.dense(x, 8), scope='n')"),
        (MYLIB, "bn(*[x, phase])"),
        (MYLIB, "bn(**{'x': x, 'is_train': phase})"),
        (
            MYLIB,
            "tf.contrib.layers.fully_connected(x, 8, normalizer_fn=bn, normalizer_params={'is_train': phase})",
        ),
        ("import functools\n" + MYLIB, "functools.partial(bn, is_train=phase)(x)"),
        ("from mylib.layers import bn as norm\n", "norm(x, phase)"),
        ("import mylib.layers\n", "mylib.layers.bn(x, phase)"),
        ("import mylib.layers as L\n", "L.bn(x, phase)"),
        ("from mylib import layers\n", "layers.bn(x, phase)"),
        ("from mylib.layers import *\n", "bn(x, phase)"),
    ],
)
def test_layers_of_a_library(folder: Folder, imports: str, call: str) -> None:
    folder.put("train.py", program(call, imports))
    assert folder.codes() == []
    folder.put("bnlint.toml", OWN)
    assert folder.codes() == ["BN101"]


def test_the_same_parameters(folder: Folder) -> None:
    folder.put("bnlint.toml", f'[known-norm-layers]\n"mylib.layers.bn" = "{LIKE}"\n')
    folder.put("train.py", program("bn(x, training=phase)"))
    assert folder.codes() == ["BN101"]


def test_a_loop_over_layers_is_followed_though_no_framework_is_imported(folder: Folder) -> None:
    folder.put(
        "net.py",
        "from mylib.layers import bn\n\ndef build(x, phase):\n    for _ in range(3):\n        x = bn(x, phase)\n"
        "    return x\n",
    )
    folder.put("train.py", program("build(x, phase)", "from net import build\n"))
    folder.put("bnlint.toml", OWN)
    assert folder.codes() == ["BN101"]


@pytest.mark.parametrize(
    ("name", "path", "definition", "call"),
    [
        (
            "ops.layers.bn",
            "ops/layers.py",
            "def bn(x, is_train=True, scope=None):\n    return native(x)\n",
            "bn(x, phase)",
        ),
        (
            "layers.bn",
            "ops/layers.py",
            "def bn(x, is_train=True, scope=None):\n    return native(x)\n",
            "bn(x, phase)",
        ),
        (
            "ops.layers.bn",
            "ops/layers/__init__.py",
            "def bn(x, is_train=True, scope=None):\n    return native(x)\n",
            "bn(x, phase)",
        ),
        (
            "ops.layers.bn.__call__",
            "ops/layers.py",
            "class bn:\n    def __call__(self, x, is_train=True, scope=None):\n        return native(x)\n",
            "bn()(x, is_train=phase)",
        ),
        (
            "ops.layers.bn.apply",
            "ops/layers.py",
            "class bn:\n    def apply(self, x, is_train=True, scope=None):\n        return native(x)\n",
            "bn().apply(x, phase)",
        ),
    ],
)
def test_functions_of_the_project_are_not_followed(
    folder: Folder, name: str, path: str, definition: str, call: str
) -> None:
    folder.put("ops/__init__.py", "").put(path, "from somewhere import native\n\n\n" + definition)
    folder.put("train.py", program(call, "from ops.layers import bn\n"))
    assert folder.codes() == []
    folder.put("bnlint.toml", OWN.replace("mylib.layers.bn", name))
    assert folder.codes() == ["BN101"]
    folder.put("bnlint.toml", OWN.replace("mylib.layers.bn", "other.layers.bn"))
    assert folder.codes() == []


def test_a_class_of_the_project(folder: Folder) -> None:
    folder.put("ops.py", "from somewhere import Base\n\n\nclass Norm(Base):\n    pass\n")
    folder.put("train.py", program("Norm(momentum=0.9)(x, training=phase)", "from ops import Norm\n"))
    assert folder.codes() == []
    folder.put("bnlint.toml", '[known-norm-layers]\n"ops.Norm" = "tf.layers.BatchNormalization"\n')
    assert folder.codes() == ["BN101"]


def test_what_is_wrong_inside_a_known_layer_is_its_own_business(folder: Folder) -> None:
    body = "import tensorflow as tf\n\n\ndef bn(x):\n    return tf.layers.batch_normalization(x, is_train=True)\n"
    folder.put("ops.py", body)
    folder.put("use.py", "from ops import bn\nbn(0)\n")
    assert folder.codes() == ["BN606"]
    folder.put("bnlint.toml", '[known-norm-layers]\n"ops.bn" = "tf.contrib.layers.batch_norm"\n')
    assert folder.codes("--select", "BN606") == []


@pytest.mark.parametrize(
    "call",
    [
        "bn(x)",  # the default of is_train is not known
        "bn(x, act=tf.nn.relu)",  # nor what this means
        "bn(x, phase, None, 7)",
        "bn(x, **options)",
    ],
)
def test_what_is_not_known_is_not_reported(folder: Folder, call: str) -> None:
    folder.put("bnlint.toml", OWN).put("train.py", program(call))
    assert folder.codes("--select", "BN107,BN606,BN204") == []


def test_defaults_are_those_of_the_layer_if_the_parameters_are(folder: Folder) -> None:
    folder.put("bnlint.toml", f'[known-norm-layers]\n"mylib.layers.bn" = "{LIKE}"\n')
    folder.put("train.py", program("bn(tf.layers.dense(x, 8))"))
    assert "BN107" in folder.codes()
    # A keyword that the framework's layer does not have may be the phase by another name.
    folder.put("train.py", program("bn(tf.layers.dense(x, 8), is_train=phase)"))
    assert "BN107" not in folder.codes()


def test_fixes_give_such_a_layer_no_argument_of_the_framework() -> None:
    norms = KnownNorms([Settings(Path(), known_norm_layers={"mylib.layers.bn": KnownNorm(LIKE)})])
    library = Library()
    norms.teach(library)
    here, there = Location("a.py", 1, 1, 1, 9), Location("a.py", 2, 1, 2, 9)
    library.wrappers.calls.add(here)

    def tempered(place: Location, edit: Edit) -> Applicability:
        fix = Fix(Applicability.SAFE, "do it", (edit,))
        found = norms.tempered(Finding("BN107", "x", Group.ERROR, place, "x", (), fix))
        assert found.fix is not None
        return found.fix.applicability

    assert tempered(here, SetKeyword(here, "training", "phase")) is Applicability.DISPLAY
    assert tempered(there, SetKeyword(here, "training", "phase")) is Applicability.DISPLAY
    assert tempered(there, SetKeyword(there, "training", "phase")) is Applicability.SAFE
    assert tempered(here, WrapStatement(here, "context()")) is Applicability.SAFE


def test_configurations_of_several_folders_are_put_together(folder: Folder) -> None:
    folder.put("a/train.py", program("bn(x, phase)")).put("a/bnlint.toml", OWN)
    folder.put("b/train.py", program("norm(x, phase)", "from other import norm\n"))
    folder.put("b/bnlint.toml", OWN.replace("mylib.layers.bn", "other.norm"))
    assert folder.found() == [("a/train.py", "BN101"), ("b/train.py", "BN101")]


def test_only_whole_words_make_a_file_relevant(folder: Folder) -> None:
    folder.put("bnlint.toml", OWN).put("a.py", "import abn\nabn.bnx()\n")
    assert folder.run("check", "--show-files").stdout == ""
    folder.put("a.py", "import abn\nabn.bn()\n")
    assert folder.run("check", "--show-files").stdout == "a.py\n"
