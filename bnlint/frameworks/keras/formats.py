"""Where Keras' layers expect the channels: the argument ``data_format``, or what the program sets for all layers."""

from __future__ import annotations

from bnlint.dataflow import Const, Unknown, Value
from bnlint.frameworks.keras.calling import given
from bnlint.frameworks.keras.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, Call, List, Tuple
from bnlint.trace import Arguments

_SET = "keras data format"
_ORDERINGS = {"th": "channels_first", "tf": "channels_last"}
"""What early versions called the formats."""


def data_format(machine: Machine, arguments: Arguments) -> Value | None:
    """The format of a layer that is being made; None if neither the call nor the program says it."""
    if arguments.open and "data_format" not in arguments.named:
        return Unknown("data_format")
    found = given(arguments.value("data_format")) or machine.state.get(_SET)
    return found if isinstance(found, Value) else None


def shape(machine: Machine, value: Value | None) -> tuple[int | None, ...] | None:
    """A shape that is given; None for sizes that are not known."""
    value = machine.settle(value) if value is not None else None
    if not isinstance(value, Tuple | List) or (isinstance(value, List) and value.open):
        return None
    sizes = (machine.constant(item) for item in value.items)
    return tuple(size if isinstance(size, int) else None for size in sizes)


def _set(machine: Machine, call: Call) -> Value:
    value = call.args[0] if call.args else next(iter(call.kwargs.values()), Unknown("data_format"))
    known = machine.constant(value)
    said = Const(_ORDERINGS.get(known, known)) if isinstance(known, str) else Unknown("data_format")
    # What is set in one branch only is not known after it.
    machine.state[_SET] = Unknown("data_format") if machine.guards else said
    return NONE


def _get(machine: Machine, call: Call) -> Value:
    said = machine.state.get(_SET)
    if isinstance(said, Const):
        return said
    return machine.interned(("keras data format",), lambda: Unknown("image_data_format()"))


HANDLERS["keras.backend.set_image_data_format"] = HANDLERS["keras.backend.set_image_dim_ordering"] = _set
HANDLERS["keras.config.set_image_data_format"] = _set
HANDLERS["keras.backend.image_data_format"] = HANDLERS["keras.config.image_data_format"] = _get
