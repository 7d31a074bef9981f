"""``bnlint verify``, the fixture of the pytest plugin, and ``bnlint.verify`` as users get at them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

numpy = pytest.importorskip("numpy")
pytest.importorskip("tensorflow")
pytest.importorskip("keras")

MODELS = """
import sys
import keras

L = keras.layers


class Stuck(L.BatchNormalization):
    def call(self, x, training=None, mask=None):
        return super().call(x, training=True)


def right():
    print("this is not part of the report")
    return keras.Sequential([L.Input((6,)), L.Dense(4), L.BatchNormalization(), L.Dense(2)])


def wrong():
    return keras.Sequential([L.Input((6,)), L.Dense(4), Stuck(), L.Dense(2)])


def open_shape():
    return keras.Sequential([L.Input((None, None, 3)), L.BatchNormalization()])


def two_inputs():
    a, b = L.Input((6,), name="a"), L.Input((4,), dtype="int32", name="b")
    joined = L.Concatenate()([a, L.Flatten()(L.Embedding(8, 2)(b))])
    return keras.Model({"a": a, "b": b}, L.BatchNormalization()(joined))


def plain():
    return keras.Sequential([L.Input((6,)), L.Dense(4)])


def nothing():
    return None


def raising():
    raise ValueError("the data are elsewhere")


def exiting():
    sys.exit(3)


def crashing():
    import os

    os.abort()


def hanging():
    while True:
        pass


def needy(width):
    return width


constant = 3
"""

RIGHT = "    return keras.Sequential([L.Input((6,)), L.Dense(4), L.BatchNormalization(), L.Dense(2)])"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "models.py").write_text(MODELS)
    (folder / "needs.py").write_text("import a_module_that_is_not_there\n")
    (folder / "broken.py").write_text("def build(:\n")
    numpy.save(folder / "single.npy", numpy.ones((8, 6)))
    numpy.savez(folder / "whole.npz", x=numpy.ones((8, 6)))
    (folder / "cut.npz").write_bytes((folder / "whole.npz").read_bytes()[:200])
    return folder


def bnlint(project: Path, *arguments: str):
    command = [sys.executable, "-m", "bnlint", "verify", *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    said = [line for line in done.stderr.splitlines() if line.startswith("bnlint: ")]
    return done.returncode, done.stdout, said, done.stderr


def test_a_right_model(project):
    code, out, said, _ = bnlint(project, "package.models:right")
    assert (code, said) == (0, [])
    line = 1 + MODELS.splitlines().index(RIGHT)
    assert "PASS" in out and f"package/models.py:{line}" in out
    assert "this is not part of the report" not in out


def test_a_wrong_model_as_json_and_as_a_page(project):
    page = project / "page.html"
    code, out, said, _ = bnlint(
        project,
        "package.models:wrong",
        "--output-format",
        "json",
        "--html",
        str(page),
        "--framework",
        "keras",
    )
    assert (code, said) == (1, [])
    report = json.loads(out)
    assert report["ok"] is False
    failed = {check["check"] for check in report["checks"] if check["verdict"] == "FAIL"}
    assert failed == {2, 4, 8}
    text = page.read_text()
    assert "<html" in text and "About the rule BN201" in text


def test_shapes_files_and_checkpoints(project):
    assert bnlint(project, "package.models:open_shape", "--input", "8x5x5x3")[0] == 0
    assert bnlint(project, "package.models:two_inputs", "--input", "a=8x6", "--input", "b=8x4:int32")[0] == 0
    numpy.savez(project / "data.npz", x=numpy.random.default_rng(0).standard_normal((16, 6)) * 2 + 1)
    assert bnlint(project, "package.models:right", "--npz", "data.npz")[0] == 0
    save = "import package.models as m; m.right().save_weights('right.weights.h5')"
    subprocess.run([sys.executable, "-c", save], cwd=project, check=True, capture_output=True)
    assert bnlint(project, "package.models:right", "--checkpoint", "right.weights.h5")[0] == 0
    code, _, said, _ = bnlint(project, "package.models:two_inputs", "--checkpoint", "right.weights.h5")
    assert code == 2 and "does not fit the model" in said[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["package.models"], "does not name a function that makes a model"),
        (["nowhere:build"], "There is no module nowhere"),
        (["needs:build"], "it needs a_module_that_is_not_there, which is not installed"),
        (["broken:build"], "cannot be imported: SyntaxError"),
        (["package.models:rihgt"], "has no rihgt. Did you mean right?"),
        (["package.models:constant"], "is a int, not a function"),
        (["package.models:nothing"], "returned None, which is not a model"),
        (["package.models:raising"], "raised ValueError: the data are elsewhere (package/models.py"),
        (["package.models:exiting"], "raised SystemExit: 3"),
        (["package.models:crashing"], "ended with signal 6"),
        (["package.models:hanging", "--timeout", "15"], "was not verified within 15 seconds"),
        (["package.models:needy"], "cannot be called without arguments"),
        (["package.models:plain"], "has no normalisation layer"),
        (["package.models:open_shape"], "does not say which shape it takes"),
        (["package.models:right", "--input", "8by6"], "is not a shape"),
        (["package.models:right", "--input", "8x5"], "takes inputs of the shape anyx6"),
        (["package.models:right", "--npz", "none.npz"], "There is no file none.npz"),
        (["package.models:right", "--npz", "broken.py"], "is not a file of numpy.savez()"),
        (["package.models:right", "--npz", "single.npy"], "is not a file of numpy.savez()"),
        (["package.models:right", "--npz", "cut.npz"], "is not a file of numpy.savez()"),
        (["package.models:right", "--npz", "cut.npz", "--input", "8x6"], "not by both"),
        (["package.models:right", "--checkpoint", "none"], "There is no checkpoint none"),
        (["package.models:right", "--memory", "0.05"], "needs more memory than it may use"),
        (["package.models:right", "--output-file", "no/such/file"], "The report cannot be written"),
    ],
)
def test_bad_input(project, arguments, sentence):
    code, out, said, error = bnlint(project, *arguments)
    assert code == 2
    assert out == ""
    assert len(said) == 1 and sentence in said[0]
    if "crashing" not in arguments[0]:
        assert "Traceback" not in error


def test_a_framework_that_is_missing(project):
    (project / "no" / "keras").mkdir(parents=True)
    (project / "no" / "keras" / "__init__.py").write_text("raise ImportError('hidden')\n")
    command = [sys.executable, "-m", "bnlint", "verify", "package.models:right", "--framework", "keras"]
    environment = {**os.environ, "PYTHONPATH": str(project / "no")}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert 'pip install "bnlint[runtime]"' in done.stderr


def test_the_fixture_of_the_plugin(project):
    (project / "test_models.py").write_text(
        "import numpy\n"
        "from package import models\n\n"
        "batch = numpy.random.default_rng(0).standard_normal((16, 6)).astype('float32') * 2 + 1\n\n"
        "def test_right(bn_verify):\n    assert bn_verify(models.right(), batch).ok\n\n"
        "def test_wrong(bn_verify):\n    bn_verify(models.wrong(), batch)\n\n"
        "def test_looked_at(bn_verify):\n    assert not bn_verify(models.wrong(), batch, check=False).ok\n\n"
        "def test_no_model(bn_verify):\n    bn_verify(None, batch)\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:bnlint",
        "-p",
        "bnlint.pytest_plugin",
        "-q",
        "test_models.py",
    ]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300)
    assert "2 failed, 2 passed" in done.stdout
    assert "In inference" in done.stdout or "in inference it normalises with the statistics" in done.stdout
    assert "is not a model that bnlint can verify" in done.stdout
    assert "bnlint/runtime" not in done.stdout


def test_whoever_only_checks_does_not_pay():
    program = (
        "import sys, bnlint; assert not [name for name in sys.modules if name.startswith('bnlint.runtime')]; "
        "bnlint.verify; assert 'bnlint.runtime.verify' in sys.modules; "
        "assert not {'numpy', 'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
