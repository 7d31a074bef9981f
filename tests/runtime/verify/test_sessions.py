"""Sessions of TensorFlow 1: each kind of layer, with the behaviour of version 1 and of version 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf_slim")

HERE = Path(__file__).parent
KINDS = ("tf_layers", "not_fused", "tf_slim_layer", "tf_slim_in_place", "keras_in_a_graph", "by_hand")
BROKEN = {
    "updates never run": {3: "BN101"},
    "slim updates never run": {3: "BN101"},
    "keras updates never run": {3: "BN104"},
    "average never applied": {3: "BN106"},
    # Whether the statistics are read before or after the update is not decided by the graph; if after, what one
    # sample gives depends on the others.
    "average always applied": ({4: "BN210"}, {4: "BN210", 8: "BN201"}),
    # Whoever takes the batch's statistics mixes its samples.
    "phase true in inference": {2: "BN201", 8: "BN201"},
    # What is normalised with the moving statistics learns none.
    "phase false in training": {1: "BN202", 3: "BN202"},
    "always training": {2: "BN203", 8: "BN201"},
    "never training": {1: "BN107", 3: "BN107"},
    "frozen in training mode": {11: "BN113"},
    "left out in inference": {9: "BN301"},
}


@pytest.fixture(scope="module", params=["v1", "v2"])
def results(request):
    command = [sys.executable, str(HERE / "graphs.py"), request.param]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("shape", ["image", "dense"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_graph_passes(kind, shape, results):
    result = results[f"{kind} {shape}"]
    assert not result["failed"] and not result["doubts"], result["text"]
    assert set(result["passed"]) == set(range(1, 13)) - {11}, result["text"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_graph_fails(name, results):
    result = results[name]
    expected = BROKEN[name] if isinstance(BROKEN[name], tuple) else (BROKEN[name],)
    assert {int(check): rule for check, rule in result["failed"].items()} in expected, result["text"]


def test_all_variables_are_restored(results):
    assert [name for name, result in results.items() if not result["restored"]] == []
