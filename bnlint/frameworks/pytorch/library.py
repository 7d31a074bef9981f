"""Models that come with libraries: which have batch normalisation in them.

Read off torchvision 0.28 and the documentation of timm and segmentation-models-pytorch. A model that is not known to
have a layer whose mode matters is left alone.
"""

from __future__ import annotations

import re

from bnlint.dataflow import Unknown, Value
from bnlint.frameworks.pytorch import calling, modules
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, ApiObject, Call

_TORCHVISION = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
    "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2", "densenet121", "densenet161", "densenet169",
    "densenet201", "inception_v3", "googlenet", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5", "shufflenet_v2_x2_0", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2",
    "efficientnet_b3", "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_s",
    "efficientnet_v2_m", "efficientnet_v2_l", "regnet_y_400mf", "regnet_y_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf",
    "regnet_y_8gf", "regnet_y_16gf", "regnet_y_32gf", "regnet_x_400mf", "regnet_x_800mf", "regnet_x_1_6gf",
    "regnet_x_3_2gf", "regnet_x_8gf", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "segmentation.fcn_resnet50",
    "segmentation.fcn_resnet101", "segmentation.deeplabv3_resnet50", "segmentation.deeplabv3_resnet101",
    "segmentation.deeplabv3_mobilenet_v3_large", "segmentation.lraspp_mobilenet_v3_large", "video.r3d_18",
    "video.mc3_18", "video.r2plus1d_18",
)  # fmt: skip
_TIMM = re.compile(
    r"(?:tf_|gluon_|ig_|ssl_|swsl_|legacy_|seresnet|se_?)?(?:resnet\d|resnext\d|wide_resnet|seresn|res2ne[xt]t?\d|resnest\d|"
    r"skresne|ecaresnet|efficientnet|mixnet|mobilenet|mnasnet|densenet\d|inception|xception|dla\d|dpn\d|hrnet|regnet|"
    r"rexnet|repvgg|vgg\d+_bn|ghostnet|hardcorenas|fbnet|spnasnet|tinynet|selecsls|tresnet|darknet|cspresne|cspdarknet)"
)
"""Beginnings of names in timm for families that have batch normalisation; those with other norms are not among them."""
_BLOCK = "torchvision.models.Block"
"""Stands for a part of a model that has batch normalisation."""
_MODEL = "torchvision.models.Model"
"""The kind of all models of libraries."""
_RESNET = {
    "conv1": "torch.nn.Conv2d",
    "bn1": "torch.nn.BatchNorm2d",
    "relu": "torch.nn.ReLU",
    "maxpool": "torch.nn.MaxPool2d",
    **{f"layer{index}": _BLOCK for index in range(1, 5)},
    "avgpool": "torch.nn.AdaptiveAvgPool2d",
    "fc": "torch.nn.Linear",
}
_POOL = "torch.nn.MaxPool2d"
_LAST = {"avgpool": "torch.nn.AdaptiveAvgPool2d", "dropout": "torch.nn.Dropout", "fc": "torch.nn.Linear"}
_INCEPTION = {
    **dict.fromkeys(("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"), _BLOCK),
    "maxpool1": _POOL,
    **dict.fromkeys(("Conv2d_3b_1x1", "Conv2d_4a_3x3"), _BLOCK),
    "maxpool2": _POOL,
    **dict.fromkeys([f"Mixed_{name}" for name in "5b 5c 5d 6a 6b 6c 6d 6e".split()], _BLOCK),
    "AuxLogits": _BLOCK,
    **dict.fromkeys(("Mixed_7a", "Mixed_7b", "Mixed_7c"), _BLOCK),
    **_LAST,
}
_GOOGLENET = {
    "conv1": _BLOCK,
    "maxpool1": _POOL,
    **dict.fromkeys(("conv2", "conv3"), _BLOCK),
    "maxpool2": _POOL,
    **dict.fromkeys(("inception3a", "inception3b"), _BLOCK),
    "maxpool3": _POOL,
    **dict.fromkeys([f"inception4{name}" for name in "abcde"], _BLOCK),
    "maxpool4": _POOL,
    **dict.fromkeys(("inception5a", "inception5b", "aux1", "aux2"), _BLOCK),
    **_LAST,
}
_SHUFFLENET = {
    "conv1": _BLOCK,
    "maxpool": _POOL,
    **dict.fromkeys(("stage2", "stage3", "stage4", "conv5"), _BLOCK),
    "fc": "torch.nn.Linear",
}
_STRUCTURES: tuple[tuple[str, dict[str, str]], ...] = (
    (r"segmentation\.", {"backbone": _BLOCK, "classifier": _BLOCK}),
    (r"video\.", {"stem": _BLOCK, **dict(list(_RESNET.items())[4:])}),
    (r".*res(?:net|next)", _RESNET),
    (r"inception_v3", _INCEPTION),
    (r"googlenet", _GOOGLENET),
    (r"shufflenet", _SHUFFLENET),
    (r"densenet", {"features": _BLOCK, "classifier": "torch.nn.Linear"}),
    (r"mobilenet_v2", {"features": _BLOCK, "classifier": "torch.nn.Linear"}),
    (r"mnasnet", {"layers": _BLOCK, "classifier": "torch.nn.Linear"}),
    (
        r"mobilenet_v3|efficientnet|vgg",
        {"features": _BLOCK, "avgpool": "torch.nn.AdaptiveAvgPool2d", "classifier": "torch.nn.Linear"},
    ),
    (
        r"regnet",
        {
            "stem": _BLOCK,
            "trunk_output": _BLOCK,
            "avgpool": "torch.nn.AdaptiveAvgPool2d",
            "fc": "torch.nn.Linear",
        },
    ),
)
"""The parts of the families of torchvision, in order; of those that are not here only the last layer is known."""


def _pretrained(machine: Machine, call: Call) -> bool:
    given = call.get(None, "weights") or call.get(0, "pretrained")
    return given is not None and machine.truth(given) is True


def _made(machine: Machine, call: Call, api: str, pretrained: bool) -> Value:
    """A model with a layer for each part that has some; it is made in training mode."""
    made = ApiObject(_MODEL, call.site)
    family = api.removeprefix("torchvision.models.") if api.startswith("torchvision.") else ""
    parts = next((parts for begin, parts in _STRUCTURES if family and re.match(begin, family)), None)
    for name, kind in (parts or {"layers": _BLOCK, "fc": "torch.nn.Linear"}).items():
        made.slots[name] = _part(machine, call, kind, api, pretrained)
    if parts is None:
        made.slots["unordered"] = True
    return made


def _part(machine: Machine, call: Call, kind: str, api: str, pretrained: bool) -> Value:
    if kind == _BLOCK:
        block = ApiObject(_MODEL, call.site)
        block.slots["layers"] = _norm(machine, call, api, pretrained)
        block.slots["unordered"] = True
        return block
    if kind == "torch.nn.BatchNorm2d":
        return _norm(machine, call, api, pretrained)
    return ApiObject(kind, call.site)


def _replaced(machine: Machine, call: Call) -> Value:
    """``setattr(block, name, value)``: the layer of a block stands for several, of which a loop replaces each.

    Whether the loop reaches one is not known, and it is taken to reach all.
    """
    if isinstance(call.receiver, ApiObject) and call.args:
        call.receiver.slots["layers"] = call.args[0]
    return NONE


def _norm(machine: Machine, call: Call, api: str, pretrained: bool) -> Value:
    norm = machine.libraries.call(
        machine, "torch.nn.BatchNorm2d", Call([Unknown("num_features")], {}, call.site)
    )
    if isinstance(norm, ApiObject):
        norm.slots["norm layer"].api = api
        norm.slots["norm layer"].pretrained = pretrained
    return norm


def _torchvision(machine: Machine, call: Call) -> Value:
    if "norm_layer" in call.kwargs or call.open:
        return machine.unknown("model", *call.values())
    return _made(machine, call, call.name, _pretrained(machine, call))


def _by_name(machine: Machine, call: Call) -> Value:
    """``torchvision.models.get_model("resnet50")``."""
    name = machine.constant(call.get(0, "name"))
    if isinstance(name, str) and name in _TORCHVISION:
        return _made(machine, call, f"torchvision.models.{name}", _pretrained(machine, call))
    return machine.unknown("model", *call.values())


def _timm(machine: Machine, call: Call) -> Value:
    name = machine.constant(call.get(0, "model_name"))
    if isinstance(name, str) and _TIMM.match(name.removeprefix("hf_hub:timm/")):
        given = call.get(1, "pretrained")
        return _made(machine, call, f"timm.{name}", given is not None and machine.truth(given) is True)
    return machine.unknown("model", *call.values())


def _hub(machine: Machine, call: Call) -> Value:
    """``torch.hub.load("pytorch/vision", "resnet18")``."""
    repository, name = machine.constant(call.get(0, "repo_or_dir")), machine.constant(call.get(1, "model"))
    vision = isinstance(repository, str) and repository.startswith("pytorch/vision")
    if vision and isinstance(name, str) and name in _TORCHVISION:
        return _made(machine, call, f"torchvision.models.{name}", _pretrained(machine, call))
    return machine.unknown("model", *call.values())


def _segmentation(machine: Machine, call: Call) -> Value:
    """Models of segmentation-models-pytorch: encoders and decoders have batch normalisation unless told otherwise."""
    plain = (
        not {"decoder_use_batchnorm", "decoder_use_norm", "encoder_name"} & call.kwargs.keys()
        and not call.args
    )
    if plain and not call.open:
        return _made(machine, call, call.name, pretrained=True)
    return machine.unknown("model", *call.values())


def _call(machine: Machine, call: Call) -> Value:
    """A call goes through all parts, also through those that the program has put there."""
    holder = call.receiver
    assert isinstance(holder, ApiObject)
    value = call.get(0, "x") or Unknown("input")
    with calling.calling(machine, holder, call) as forward:
        for child in calling.children(holder):
            value = machine.call(child, [value], {}, call.site)
    return calling.finished(machine, forward, value)


modules.methods(_MODEL)
HANDLERS[f"{_MODEL}.__call__"] = HANDLERS[f"{_MODEL}.forward"] = _call
HANDLERS[f"{_MODEL}.layers="] = _replaced
for _name in _TORCHVISION:
    HANDLERS[f"torchvision.models.{_name}"] = _torchvision
HANDLERS["torchvision.models.get_model"] = _by_name
HANDLERS["timm.create_model"] = HANDLERS["timm.models.create_model"] = _timm
HANDLERS["torch.hub.load"] = _hub
for _name in (
    "Unet",
    "UnetPlusPlus",
    "FPN",
    "Linknet",
    "DeepLabV3",
    "DeepLabV3Plus",
    "MAnet",
    "PSPNet",
    "PAN",
):
    HANDLERS[f"segmentation_models_pytorch.{_name}"] = _segmentation
