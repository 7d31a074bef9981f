"""Exceptions in a line."""

from __future__ import annotations

import pytest

from bnlint.runtime.exceptions import short

UNFED = """Graph execution error:

Detected at node 'phase' defined at (most recent call last):
    File "train.py", line 4, in <module>
Node: 'phase'
{}You must feed a value for placeholder tensor 'phase' with dtype bool
\t [[{{{{node phase}}}}]]

Original stack trace for 'phase':
  File "train.py", line 4, in <module>
"""
IN_A_FUNCTION = """in user code:

    File "train.py", line 2, in step  *
        return tf.reshape(a, [3])

    ValueError: Cannot reshape a tensor with 4 elements.
"""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one thing\nand another"), "ValueError: one thing"),
        (KeyError("x"), "KeyError: x"),
        (KeyError(), "KeyError"),
        (KeyError("Exception encountered when calling Net.call().\n\n\x1b[1mx\x1b[0m"), "KeyError: x"),
        (
            RuntimeError(
                "{{function_node __wrapped__Sub}} Incompatible shapes: [3,2] vs. [16,2] [Op:Sub] name: "
            ),
            "RuntimeError: Incompatible shapes: [3,2] vs. [16,2]",
        ),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (RuntimeError("x" * 1000), "RuntimeError: " + "x" * 300),
        (
            ValueError(UNFED.format("")),
            "ValueError: You must feed a value for placeholder tensor 'phase' with dtype bool",
        ),
        (
            ValueError(UNFED.format("2 root error(s) found.\n  (0) INVALID_ARGUMENT: ")),
            "ValueError: You must feed a value for placeholder tensor 'phase' with dtype bool",
        ),
        (ValueError(IN_A_FUNCTION), "ValueError: Cannot reshape a tensor with 4 elements."),
        (
            ValueError("Exception encountered when calling Net.call().\n\n\x1b[1mNo.\x1b[0m"),
            "ValueError: No.",
        ),
        (ValueError("in user code:\n"), "ValueError: in user code:"),
    ],
)
def test_the_first_line_that_tells_something(error: BaseException, line: str) -> None:
    assert short(error) == line
