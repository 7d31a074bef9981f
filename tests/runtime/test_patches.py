"""Functions of a framework that are replaced say what they always said, and take arguments as they always did."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bnlint.runtime.backends.tensorflow1.patches import around, around_method


def add(one: int, two: int = 2, *, name: str = "") -> str:
    return f"{name}{one + two}"


def noting(original: Any, first: int, second: int = 2, **others: Any) -> Any:
    """Calls the parameters otherwise than the function does."""
    return "noted " + original(first, second, **others)


@pytest.mark.parametrize(
    ("arguments", "keywords", "result"),
    [
        ((1,), {}, "noted 3"),
        ((1, 4), {"name": "n"}, "noted n5"),
        ((), {"one": 1}, "noted 3"),
        ((), {"two": 3, "one": 1, "name": "n"}, "noted n4"),
    ],
)
def test_arguments_may_be_given_by_name(
    arguments: tuple[Any, ...], keywords: dict[str, Any], result: str
) -> None:
    module: Any = SimpleNamespace(add=add)
    around(module, "add", noting)
    assert module.add(*arguments, **keywords) == result
    assert module.add.__name__ == "add"


@pytest.mark.parametrize(
    ("arguments", "keywords", "error"),
    [
        ((1,), {"three": 3}, r"^add\(\) got an unexpected keyword argument 'three'$"),
        ((), {}, r"^add\(\) missing 1 required positional argument: 'one'$"),
    ],
)
def test_a_wrong_call_is_refused_by_the_function_itself(
    arguments: tuple[Any, ...], keywords: dict[str, Any], error: str
) -> None:
    module: Any = SimpleNamespace(add=add)
    around(module, "add", noting)
    with pytest.raises(TypeError, match=error):
        module.add(*arguments, **keywords)


def test_methods() -> None:
    class Optimizer:
        def apply(self, pairs: list[int]) -> int:
            return sum(pairs)

    def noting_pairs(original: Any, optimizer: Any, gradients: list[int]) -> int:
        return -int(original(optimizer, gradients))

    around_method(Optimizer, "apply", noting_pairs)
    assert Optimizer().apply(pairs=[1, 2]) == -3
    with pytest.raises(
        TypeError, match=r"Optimizer\.apply\(\) got an unexpected keyword argument 'gradients'"
    ):
        Optimizer().apply(gradients=[1])  # type: ignore[call-arg]
