"""A gradient penalty on a network that has batch normalisation in training mode.

## What it does

Reports `torch.autograd.grad(D(x), x, create_graph=True)` if the size of that gradient becomes part of a loss
(WGAN-GP, DRAGAN, R1) and there is batch normalisation in training mode in `D`.

## Why it is bad

The penalty is about the gradient of each example's score by that example. Batch normalisation makes the score of one
example depend on all others of the batch, and what is computed is the sum over their scores: the constraint is not
the one that is meant. The paper of WGAN-GP leaves batch normalisation out of the critic for that reason.

## When it is not a bug

- The critic has layer or instance normalisation, or its batch normalisation is in evaluation mode.
- WGAN with weight clipping, which asks for no gradient.
- Gradients by weights, as in meta-learning.

## Example

```python
critic = nn.Sequential(nn.Conv2d(3, 64, 4, 2, 1), nn.BatchNorm2d(64), nn.LeakyReLU(0.2), ...)
gradients = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)[0]
penalty = ((gradients.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
```

## Use instead

```python
critic = nn.Sequential(nn.Conv2d(3, 64, 4, 2, 1), nn.InstanceNorm2d(64, affine=True), nn.LeakyReLU(0.2), ...)
```

## Fix safety

The fix is shown: another normalisation makes another network.

## Confirmed by

`bnlint run`: a gradient by what a module was called with went through the layer, which used the statistics of the batch
there (RP4), and the backward pass of a training step went through that gradient. Whether its size is what is in the
loss is not looked at.

## Known limits

Gradients that are computed by `backward()` are not looked at.

## References

- Gulrajani et al., Improved Training of Wasserstein GANs, 2017, section 4.
- https://github.com/eriklindernoren/Keras-GAN/issues/48
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.forwards import results
from bnlint.dataflow import Choice, Node, Unknown, Value, World, sources
from bnlint.eager import Derivative
from bnlint.findings import Applicability, Finding, Fix, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Forward, NormCall, Trace, TrainStep

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed

_SIZES = frozenset("norm vector_norm pow square sqrt".split())
_SHAPES = frozenset("item part view reshape flatten contiguous float sum add".split()) | {""}
"""What may come between a gradient and its size; `add` is that of a small number before a square root."""
_SEVERAL = 2
_FIX = Fix(
    Applicability.DISPLAY,
    "normalise each example by itself in this network (`nn.InstanceNorm2d`, `nn.LayerNorm`), or not at all",
)


class NormUnderGradientPenalty(Rule):
    """The penalised gradient is not that of one example."""

    code = "BN705"
    name = "norm-under-gradient-penalty"
    group = Group.WARNING
    frameworks = ("pytorch",)
    fixable = (Applicability.DISPLAY,)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each gradient once."""
        derivatives = [
            event for event in trace.of(Derivative) if World(event.guards).truth(event.again) is True
        ]
        penalised = _penalised(trace) if derivatives else set()
        seen: set[Location] = set()
        for event in derivatives:
            forward, norm = _of_batch(event, trace)
            if forward is None or norm is None or event.site in seen or event.result not in penalised:
                continue
            seen.add(event.site)
            yield self.finding(
                event.site,
                "the gradient that is penalised is not that of one example: batch norm makes each score depend on the "
                "whole batch",
                (
                    Step(norm.layer.site, "this layer of the network is in training mode"),
                    Step(forward.site, "the network gives its scores here"),
                    Step(
                        event.site,
                        "their gradient by the examples is taken here, and its size goes into the loss",
                    ),
                ),
                _FIX,
            )

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each gradient once."""
        from bnlint.runtime.lives import lives, place_of
        from bnlint.runtime.observed import Mode

        seen: set[Location] = set()
        for life in lives(observed):
            for trained in life.trained_by(Mode.BATCH) if life.over_batch else ():
                site = trained.passage.penalised
                if site is None or site in seen or trained.passage.batch < _SEVERAL:
                    continue
                seen.add(site)
                yield self.finding(
                    site,
                    f"a loss depends on a gradient by the examples that went through `{life.layer.name}`: in training "
                    "mode it is not that of one example, but depends on the whole batch",
                    (
                        Step(life.site(observed), "this layer of the network is in training mode"),
                        Step(place_of(trained.run, observed), "the network gives its scores here"),
                        Step(site, "their gradient by the examples is taken here"),
                    ),
                )


def _of_batch(event: Derivative, trace: Trace) -> tuple[Forward | None, NormCall | None]:
    """The call of a network that a gradient is of, by what the call was given, and a layer that mixes its examples."""
    reached = sources(event.outputs)
    for forward in trace.of(Forward):
        if set(event.inputs) & set(forward.inputs) and set(results(forward, trace)) & reached:
            world = World(forward.guards)
            return forward, next((norm for norm in forward.norms if norm.training(world) is True), None)
    return None, None


def _penalised(trace: Trace) -> set[Value]:
    """The values whose size some loss has in it."""
    losses = [step.loss for step in trace.of(TrainStep) if step.loss is not None]
    pending = [part for value in sources(losses) if _name(value) in _SIZES for part in _direct(value)]
    seen: set[Value] = set()
    while pending:
        value = pending.pop()
        if value not in seen:
            seen.add(value)
            if _name(value) in _SHAPES:
                pending.extend(_direct(value))
    return seen


def _direct(value: Value) -> tuple[Value, ...]:
    if isinstance(value, Node):
        return value.inputs
    if isinstance(value, Unknown):
        return value.sources
    return tuple(option for _, option in value.options) if isinstance(value, Choice) else ()


def _name(value: Value) -> str:
    if isinstance(value, Node | Unknown):
        return (value.op if isinstance(value, Node) else value.hint).rpartition(".")[2]
    return "" if isinstance(value, Choice) else "constant"
