"""Optimizers: whose parameters each of them changes, and when."""

from __future__ import annotations

from bnlint.dataflow import Unknown, Value
from bnlint.eager import Applied
from bnlint.frameworks.pytorch.table import HANDLERS
from bnlint.interpreter.machine import Machine
from bnlint.interpreter.values import NONE, ApiObject, Call, contents

_OPTIMIZER = "torch.optim.Optimizer"
_SCHEDULER = "torch.optim.lr_scheduler.LRScheduler"
_OPTIMIZERS = "Adadelta Adagrad Adam AdamW Adamax ASGD LBFGS NAdam RAdam RMSprop Rprop SGD SparseAdam"
_SCHEDULERS = (
    "StepLR MultiStepLR CosineAnnealingLR CosineAnnealingWarmRestarts ExponentialLR LambdaLR MultiplicativeLR "
    "OneCycleLR CyclicLR LinearLR PolynomialLR ConstantLR SequentialLR ReduceLROnPlateau"
)


def _optimizer(machine: Machine, call: Call) -> Value:
    machine.node(call.name, contents(call.values()), call.site)
    return ApiObject(_OPTIMIZER, call.site)


def _scheduler(machine: Machine, call: Call) -> Value:
    """It changes the learning rate, and no weights."""
    return ApiObject(_SCHEDULER, call.site)


def _step(machine: Machine, call: Call) -> Value:
    """``optimizer.step()``, which may be given a function that computes the loss."""
    machine.callbacks(call.values(), call.site)
    if call.receiver is not None:
        machine.emit(Applied(machine.context(call.site), machine.tick(), call.receiver))
    return NONE


def _step_of_unknown(machine: Machine, call: Call) -> Value:
    """``x.step()``, where x may be an optimizer, or steps for one (a gradient scaler)."""
    receiver = call.receiver or Unknown("optimizer")
    machine.escape((*call.values(), receiver))
    _step(machine, call)
    return Unknown("step", contents((*call.values(), receiver)))


for _name in _OPTIMIZERS.split():
    HANDLERS[f"torch.optim.{_name}"] = _optimizer
for _name in _SCHEDULERS.split():
    HANDLERS[f"torch.optim.lr_scheduler.{_name}"] = _scheduler
HANDLERS[f"{_OPTIMIZER}.step"] = _step
HANDLERS["Unknown.step"] = _step_of_unknown
