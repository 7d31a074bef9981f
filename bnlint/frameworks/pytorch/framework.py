"""The table of PyTorch: which imports it owns, and what calls and classes mean that no part describes."""

from __future__ import annotations

from bnlint.dataflow import Unknown, Value
from bnlint.frameworks.library import Framework
from bnlint.frameworks.pytorch import (
    averages,
    calling,
    checkpointing,
    containers,
    data,
    exports,
    foreign,
    gradients,
    layers,
    library,
    modules,
    norms,
    optimizers,
    overrides,
    parameters,
    recurrent,
    replicas,
    saving,
    sequences,
    switches,
    training,
)
from bnlint.frameworks.pytorch.copies import deep_copy
from bnlint.frameworks.pytorch.table import HANDLERS, PROPERTIES
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, ApiRef, Call, Instance, Tuple, contents

_PARTS = (
    averages,
    checkpointing,
    containers,
    data,
    exports,
    gradients,
    layers,
    library,
    modules,
    norms,
    optimizers,
    overrides,
    parameters,
    recurrent,
    replicas,
    saving,
    sequences,
    switches,
    training,
)
"""What fills the table: these parts do so when they are imported."""
_NO_TENSORS = ("torch.utils.", "torch.optim.", "torch.cuda.", "torch.distributed.", "torchvision.transforms.",
               "torchvision.datasets.", "torch.backends.", "torch.manual_seed")  # fmt: skip


def _fallback(machine: Machine, call: Call) -> Value:
    """Anything else: a layer or another object if it is a class, else an operation on tensors."""
    last = call.name.rpartition(".")[2]
    if last == "__call__" and call.receiver is not None:
        return modules.call_layer(machine, call)
    if call.name.startswith(_NO_TENSORS):
        return machine.unknown(last, *call.values())
    if last[:1].isupper():
        made = ApiObject(call.name, call.site)
        made.slots["given"] = Tuple(call.values())
        return made
    inputs = contents(call.values())
    return machine.node(call.name, inputs, call.site) if inputs else machine.unknown(last, *call.values())


def _inherited(machine: Machine, instance: Instance, base: ApiRef, name: str) -> Value | None:
    """What a project's module has from the library's."""
    from bnlint.interpreter.values import Method

    if not base.name.startswith("torch.nn."):
        return None
    for full in (f"{base.name}.{name}", f"torch.nn.Module.{name}"):
        made = PROPERTIES.get(full)
        if made is not None:
            return made(machine, Call([], {}, machine.here, receiver=instance, name=name))
        if full in HANDLERS:
            return Method(instance, full)
    return None


def _adopted(machine: Machine, instance: Instance, name: str) -> Value | None:
    """What a module has from a class of another library, which derives from PyTorch's (``LightningModule``)."""
    from bnlint.interpreter.values import Method

    if f"torch.nn.Module.{name}" in HANDLERS and any(True for _ in calling.children(instance)):
        return Method(instance, f"torch.nn.Module.{name}")
    if name.partition("_")[0] in ("log", "print", "save"):
        return None
    return machine.interned(("method", instance, name), lambda: Unknown(f"self.{name}", (instance,)))


def _lineage(name: str) -> frozenset[str]:
    """A layer's class is a module; those of some layers have a base of their own."""
    last = name.removeprefix("torch.nn.")
    if name == last or "." in last or not last[:1].isupper():
        return frozenset()
    plain = last.removeprefix("Lazy")
    bases = {last, plain, "Module"}
    if "BatchNorm" in plain:
        bases |= {"_BatchNorm", "_NormBase"}
    elif plain.startswith("InstanceNorm"):
        bases |= {"_InstanceNorm", "_NormBase"}
    elif plain.startswith("Conv"):
        bases.add("_ConvNd")
    elif "Dropout" in plain:
        bases.add("_DropoutNd")
    return frozenset(f"torch.nn.{base}" for base in bases)


FRAMEWORK = Framework(
    name="pytorch",
    roots={
        "torch": "torch",
        "torchvision": "torchvision",
        "timm": "timm",
        "segmentation_models_pytorch": "segmentation_models_pytorch",
    },
    aliases={
        "torch.nn.modules": "torch.nn",
        **{
            f"torch.nn.{each}": "torch.nn"
            for each in ("batchnorm", "conv", "dropout", "module", "instancenorm")
        },
        "torch.nn.parallel.distributed": "torch.nn.parallel",
        "torchvision.models.resnet": "torchvision.models",
    },
    handlers=HANDLERS,
    properties=PROPERTIES,
    fallback=_fallback,
    inherited=_inherited,
    construct=overrides.construct,
    named=switches.named,
    escaped=foreign.forget,
    adopted=_adopted,
    hooks={"forward": calling.by_name},
    lineage=_lineage,
    copied=deep_copy,
    norms={name: signature.names for name, signature in norms.SIGNATURES.items()},
)
