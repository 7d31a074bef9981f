"""Strategies for several devices."""

from __future__ import annotations

from bnlint.dataflow import Unknown, Value
from bnlint.frameworks.keras.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, ApiObject, Call, Dict, List, Tuple, contents

_SEVERAL = (
    "MirroredStrategy", "MultiWorkerMirroredStrategy", "TPUStrategy", "experimental.MultiWorkerMirroredStrategy",
    "experimental.TPUStrategy", "experimental.CentralStorageStrategy", "CentralStorageStrategy",
)  # fmt: skip
"""For several replicas, unless a single device is asked for."""
_OTHERS = ("OneDeviceStrategy", "ParameterServerStrategy", "get_strategy")


def current(machine: Machine) -> str:
    """The strategy for several replicas in whose scope the program is; empty if it is in none for sure."""
    scopes: tuple[str, ...] = machine.state.get("strategies", ())
    return scopes[-1] if scopes else ""


def _strategy(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.distribute.Strategy", call.site)
    name = call.name.removeprefix("tf.distribute.")
    made.slots["replicas"] = name if name in _SEVERAL and not _is_one(machine, call.get(0, "devices")) else ""
    return made


def _is_one(machine: Machine, devices: Value | None) -> bool:
    devices = machine.settle(devices or NONE)
    return isinstance(devices, List | Tuple) and len(devices.items) < 2


def _scope(machine: Machine, call: Call) -> Value:
    made = ApiObject("tf.distribute.scope", call.site)
    name = call.receiver.slots["replicas"] if isinstance(call.receiver, ApiObject) else ""

    def enter() -> Value:
        machine.state["strategies"] = (*machine.state.get("strategies", ()), name)
        return made

    def leave() -> None:
        machine.state["strategies"] = machine.state["strategies"][:-1]

    made.enter, made.leave = enter, leave
    return made


def _run(machine: Machine, call: Call) -> Value:
    function = call.get(0, "fn")
    if function is None:
        return Unknown("run")
    args = machine.settle(call.get(1, "args") or Tuple(()))
    kwargs = machine.settle(call.get(2, "kwargs") or Dict())
    if not isinstance(args, Tuple | List):
        from bnlint.interpreter.calls import call_with_unknowns

        return call_with_unknowns(machine, function, call.site)
    entries = kwargs.entries() if isinstance(kwargs, Dict) else []
    named = {str(machine.constant(name)): value for name, value, _ in entries}
    return machine.call(function, list(args.items), named, call.site)


def _reduced(machine: Machine, call: Call) -> Value:
    return machine.node(call.name, contents(call.values()), call.site)


for _name in (*_SEVERAL, *_OTHERS):
    HANDLERS[f"tf.distribute.{_name}"] = _strategy
HANDLERS.update(
    {
        "tf.distribute.Strategy.scope": _scope,
        "tf.distribute.Strategy.run": _run,
        "tf.distribute.Strategy.experimental_run_v2": _run,
        "tf.distribute.Strategy.reduce": _reduced,
    }
)
