"""Models are run where TensorFlow is installed; elsewhere these tests are skipped."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def probe():
    """Makes batches whose mean is not 0 and whose variance is not 1."""

    numpy = pytest.importorskip("numpy")

    def make(*shape: int, seed: int = 0):
        values = numpy.random.default_rng(seed).standard_normal(shape) * 2 + 1
        return values.astype("float32")

    return make
