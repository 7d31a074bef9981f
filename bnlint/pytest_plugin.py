"""The fixture ``bn_verify``, for tests of models.

::

    def test_batch_norm(bn_verify):
        bn_verify(build_model(), batch)

It takes what ``bnlint.verify`` takes, fails the test if a check fails, and returns the verification. With
``check=False`` it only returns it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bnlint.runtime.oracle import Verification


@pytest.fixture
def bn_verify() -> Callable[..., Verification]:
    """Verify the batch normalisation of a model; see ``bnlint.verify``."""

    def verify(model: Any, batch: Any = None, *, check: bool = True, **more: Any) -> Verification:
        __tracebackhide__ = True
        from bnlint.errors import UserError
        from bnlint.runtime.verify import verify as verify_model

        try:
            verification = verify_model(model, batch, **more)
        except UserError as error:
            pytest.fail(str(error), pytrace=False)
        if check and not verification.ok:
            pytest.fail(f"batch normalisation is broken\n{verification}", pytrace=False)
        return verification

    return verify
