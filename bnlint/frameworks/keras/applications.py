"""The models that come with Keras, and whether there is batch normalisation in them."""

from __future__ import annotations

from bnlint.dataflow import Op, Value
from bnlint.frameworks.keras import calling
from bnlint.frameworks.keras.layers import new_norm
from bnlint.frameworks.keras.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import TRUE, ApiObject, Call

_WITH_NORMS = (
    "Xception", "ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2", "InceptionV3",
    "InceptionResNetV2", "MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "DenseNet121",
    "DenseNet169", "DenseNet201", "NASNetMobile", "NASNetLarge", "EfficientNetB0", "EfficientNetB1",
    "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7",
    "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2S",
    "EfficientNetV2M", "EfficientNetV2L", "RegNetX002", "RegNetY002", "ResNetRS50",
)  # fmt: skip
"""Checked by building each with Keras 3.15, but for RegNet and ResNetRS, which only Keras 2 has."""
_WITHOUT = (
    "VGG16",
    "VGG19",
    "ConvNeXtTiny",
    "ConvNeXtSmall",
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtXLarge",
)
_MODULES = {
    "ResNet50": ("resnet50", "resnet"), "ResNet101": ("resnet",), "ResNet152": ("resnet",),
    "ResNet50V2": ("resnet_v2",), "ResNet101V2": ("resnet_v2",), "ResNet152V2": ("resnet_v2",),
    "InceptionV3": ("inception_v3",), "InceptionResNetV2": ("inception_resnet_v2",), "Xception": ("xception",),
    "MobileNet": ("mobilenet",), "MobileNetV2": ("mobilenet_v2",), "DenseNet121": ("densenet",),
    "DenseNet169": ("densenet",), "DenseNet201": ("densenet",), "NASNetMobile": ("nasnet",), "NASNetLarge": ("nasnet",),
    "VGG16": ("vgg16",), "VGG19": ("vgg19",),
}  # fmt: skip


def _application(machine: Machine, call: Call) -> Value:
    """A model as a description of one layer, which stands for all that it has."""
    weights = call.kwargs.get("weights", call.args[1] if len(call.args) > 1 else None)
    pretrained = weights is None or calling.given(weights) is not None
    given = calling.given(call.kwargs.get("input_tensor"))
    place = given if given is not None else machine.node(
        Op.PLACEHOLDER, (), call.site, default=None, dtype="", name=None
    )  # fmt: skip
    made = ApiObject("keras.Model", call.site)
    name = call.name.rpartition(".")[2]
    if name in _WITH_NORMS:
        part = ApiObject("keras.layers.BatchNormalization", call.site)
        part.slots["trainable"] = TRUE
        layer = new_norm(machine, part, pretrained)
        layer.api = call.name
        output = machine.call(part, [place], {}, call.site)
    else:
        part = ApiObject("keras.layers.Conv2D", call.site)
        part.slots["trainable"] = TRUE
        output = machine.call(part, [place], {}, call.site)
    made.slots["inputs"] = made.slots["input"] = place
    made.slots["outputs"] = made.slots["output"] = output
    return made


for _name in (*_WITH_NORMS, *_WITHOUT):
    HANDLERS[f"keras.applications.{_name}"] = _application
ALIASES = {
    f"keras.applications.{module}.{name}": f"keras.applications.{name}"
    for name, modules in _MODULES.items()
    for module in modules
} | {
    f"keras.applications.efficientnet.EfficientNetB{index}": f"keras.applications.EfficientNetB{index}"
    for index in range(8)
}
"""The module of each model, where it can be imported from too."""
