"""Models that come with torchvision: which have batch normalisation in them."""

from __future__ import annotations

from bnlint.dataflow import Value
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import ApiObject, Call, List

_WITH_NORMS = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
    "wide_resnet50_2", "wide_resnet101_2", "densenet121", "densenet161", "densenet169", "densenet201", "inception_v3",
    "googlenet", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "mnasnet1_0", "shufflenet_v2_x1_0",
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "vgg11_bn",
    "vgg13_bn", "vgg16_bn", "vgg19_bn",
)  # fmt: skip


def _model(machine: Machine, call: Call) -> Value:
    """A sequence with one layer that stands for all that it has; it is made in training mode."""
    made = ApiObject("torch.nn.Sequential", call.site)
    norm = machine.libraries.call(machine, "torch.nn.BatchNorm2d", Call([], {}, call.site, open=True))
    if isinstance(norm, ApiObject):
        norm.slots["norm layer"].api = call.name
        given = call.get(None, "weights") or call.get(0, "pretrained")
        norm.slots["norm layer"].pretrained = given is not None and machine.truth(given) is True
    made.slots["layers"] = List((norm,))
    return made


for _name in _WITH_NORMS:
    HANDLERS[f"torchvision.models.{_name}"] = _model
