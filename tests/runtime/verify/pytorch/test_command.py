"""``bnlint verify`` and the fixture of the pytest plugin on PyTorch models, as users get at them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

numpy = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

MODELS = """
import torch
from torch import nn


class Stuck(nn.BatchNorm1d):
    def train(self, mode=True):
        return super().train(True)


class Own(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.running_mean, self.running_var = torch.zeros(size), torch.ones(size)

    def forward(self, x):
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = x.mean(0), x.var(0, unbiased=False)
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean.detach()
            self.running_var = 0.9 * self.running_var + 0.1 * variance.detach()
        return (x - mean) / torch.sqrt(variance + 1e-5)


def right():
    print("this is not part of the report")
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def wrong():
    return nn.Sequential(nn.Linear(6, 4), Stuck(4), nn.Linear(4, 2))


def forgetful():
    layers = [nn.Linear(6, 4)]
    layers.append(Own(4))
    return nn.Sequential(*layers)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.norm = nn.Embedding(8, 6), nn.BatchNorm1d(6)

    def forward(self, a, b):
        return self.norm(a + self.embedding(b).mean(1))


def plain():
    return nn.Sequential(nn.Linear(6, 4))


made = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))
images = lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
"""


def line_of(text: str) -> int:
    return 1 + next(number for number, line in enumerate(MODELS.splitlines()) if text in line)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "models.py").write_text(MODELS)
    # No other framework is looked at.
    (folder / "tensorflow.py").write_text("raise RuntimeError('not for PyTorch')\n")
    (folder / "keras.py").write_text("raise RuntimeError('not for PyTorch')\n")
    return folder


def bnlint(project: Path, *arguments: str):
    command = [sys.executable, "-m", "bnlint", "verify", *arguments]
    done = subprocess.run(
        command, cwd=project, env=dict(os.environ), capture_output=True, text=True, timeout=300
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("bnlint: ")]
    return done.returncode, done.stdout, said, done.stderr


def test_a_right_model(project):
    code, out, said, _ = bnlint(project, "models:right", "--input", "16x6")
    assert (code, said) == (0, [])
    assert "PASS" in out and f"models.py:{line_of('nn.BatchNorm1d(4), nn.Linear(4, 2)')}" in out
    assert "this is not part of the report" not in out
    assert bnlint(project, "models:made", "--input", "16x6", "--framework", "pytorch")[0] == 0


def test_a_wrong_model_as_json_and_as_a_page(project):
    page = project / "page.html"
    arguments = ("--input", "16x6", "--output-format", "json", "--html", str(page))
    code, out, said, _ = bnlint(project, "models:wrong", *arguments)
    assert (code, said) == (1, [])
    report = json.loads(out)
    failed = {
        (check["check"], outcome["code"])
        for check in report["checks"]
        for outcome in check["outcomes"]
        if outcome["verdict"] == "FAIL"
    }
    assert failed == {(check, "BN209") for check in (2, 4, 8)}
    (layer,) = report["observations"]
    assert (layer["api"], layer["framework"], layer["momentum"]) == ("Stuck", "pytorch", 0.9)
    text = page.read_text()
    assert "<html" in text and "Stuck.train() does not pass the mode on to it" in text and "pytorch" in text


def test_a_layer_of_ones_own_is_told_where_it_is_built(project):
    code, out, _, _ = bnlint(project, "models:forgetful", "--input", "16x6")
    assert code == 1
    assert f"models.py:{line_of('layers.append')}" in out and "BN112" in out


def test_shapes_files_and_checkpoints(project):
    assert bnlint(project, "models:images", "--input", "8x3x8x8")[0] == 0
    assert bnlint(project, "models:Two", "--input", "a=16x6", "--input", "b=16x3:int64")[0] == 0
    numpy.savez(project / "data.npz", x=numpy.random.default_rng(0).standard_normal((16, 6)) * 2 + 1)
    assert bnlint(project, "models:right", "--npz", "data.npz")[0] == 0
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    torch.save({"state_dict": torch.nn.DataParallel(model).state_dict(), "epoch": 3}, project / "right.pt")
    assert bnlint(project, "models:right", "--npz", "data.npz", "--checkpoint", "right.pt")[0] == 0
    code, _, said, _ = bnlint(project, "models:forgetful", "--npz", "data.npz", "--checkpoint", "right.pt")
    assert code == 2 and "right.pt does not fit the model: Unexpected key(s)" in said[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["models:right"], "Give one, samples first, then channels, with --input, as in --input 8x3x32x32"),
        (["models:right", "--input", "16x5"], "cannot run on the batch: RuntimeError: mat1 and mat2"),
        (["models:plain", "--input", "16x6"], "has no normalisation layer"),
        (
            ["models:right", "--input", "16x6", "--checkpoint", "models.py"],
            "is not a checkpoint of torch.save()",
        ),
        (["models:nn", "--input", "16x6"], "not a function"),
    ],
)
def test_bad_input(project, arguments, sentence):
    code, out, said, error = bnlint(project, *arguments)
    assert (code, out) == (2, "")
    assert len(said) == 1 and sentence in said[0]
    assert "Traceback" not in error


def test_pytorch_that_is_missing(project):
    (project / "no").mkdir()
    (project / "no" / "torch.py").write_text("raise ImportError('hidden')\n")
    command = [sys.executable, "-m", "bnlint", "verify", "models:right", "--framework", "pytorch"]
    path = os.pathsep.join([str(project / "no"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert 'pip install "bnlint[pytorch]"' in done.stderr


def test_the_fixture_of_the_plugin(project):
    (project / "test_models.py").write_text(
        "import models\n"
        "import torch\n\n"
        "batch = torch.randn(16, 6) * 2 + 1\n\n"
        "def test_right(bn_verify):\n    assert bn_verify(models.right(), batch).ok\n\n"
        "def test_wrong(bn_verify):\n    bn_verify(models.wrong(), batch)\n\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "test_models.py"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300)
    assert "1 failed, 1 passed" in done.stdout
    assert "Stuck.train() does not pass the mode on to it [BN209]" in done.stdout
    assert "bnlint/runtime" not in done.stdout
