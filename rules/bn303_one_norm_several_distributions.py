"""One batch-norm layer that normalises tensors of several distributions.

## What it does

Reports a layer of PyTorch that is applied more than once in one call of a model, in training mode, to tensors that
different layers computed, or to something that was computed from its own output: one instance for several depths, or
for all steps of time. Reports as well the layers that learn from two domains in one training step, each batch passed on
by itself: the data comes straight from two loaders of different sets of data, which the program tells apart as source
and target, or as synthetic and real. Reports at last the network of momentum contrast whose keys are normalised with
the batch of their queries, in the same order, and are compared with a queue of keys from other batches.

## Why it is bad

In training each application normalises with the statistics of its own batch. The moving statistics are an average over
all of them, and describe none: evaluation is wrong at every place, however long the model was trained. With two
domains it is wrong on both, while training sees each of them with mean zero.

In momentum contrast, one key was normalised with the same examples as the query, and all others with other ones. The
network can tell it by that, without learning anything of the example.

## When it is not a bug

- The layer keeps no moving statistics (`track_running_stats=False`).
- Branches that share all of their weights see data of the same kind, as siamese networks do.
- Only one of the applications happens in each call.
- Two views of the same examples, a second batch of the same loader, and parts of one set of data are of the same kind.
- The batches of both domains are concatenated: then training normalises with the average over both, too.
- Each domain has a layer of its own, or one of them is passed on in evaluation mode.
- A discriminator is given what another network made: real and generated images are meant to be normalised apart.
- The statistics are estimated anew, on the domain on which the model is used.
- Queries are compared with keys of their own batch alone, or with nothing but their own key.
- The batch is put into another order for the keys, so that each device, or each group, normalises other examples of it;
  or the statistics are shared between devices.

## Example

```python
def forward(self, x):
    x = torch.relu(self.bn(self.conv1(x)))
    return torch.relu(self.bn(self.conv2(x)))
```

```python
for (x, y), (z, _) in zip(source_loader, target_loader):
    loss = F.cross_entropy(model(x), y) + entropy(model(z))
```

## Use instead

```python
def forward(self, x):
    x = torch.relu(self.bn1(self.conv1(x)))
    return torch.relu(self.bn2(self.conv2(x)))
```

```python
for (x, y), (z, _) in zip(source_loader, target_loader):
    one, two = model(torch.cat([x, z])).split([len(x), len(z)])
    loss = F.cross_entropy(one, y) + entropy(two)
```

## Fix safety

There is no fix: each place needs a layer of its own, and existing checkpoints have one. Whether two domains should
share their statistics, or have layers of their own, is a decision.

## Confirmed by

`bnlint run`: in one forward pass in training mode the layer was applied to what other layers computed, or to what was
computed from its own output, and the means of the batches were apart (RP6). Executed with torch 2.13: after 400 passes
with fixed weights the outputs of training and evaluation differ by 0.66, with a layer for each place by 0.0005.

For two domains: in the training steps the layer was applied to examples of two sets of data, as loaders gave them, and
over all steps the means of a channel were apart. Executed with domains that are 4.3 standard deviations apart: the
moving mean was 53 % of the way from the one to the other, and the model classified 52 % of the target domain, where
guessing gives 50 %; with statistics that were estimated anew on the target domain, 95 %.

For momentum contrast a run confirms nothing: it does not see from which batches the keys are that a loss compares.
Executed with torch 2.13, batches of 16, and a queue of 128 keys: a key that was normalised with strangers instead of
its query's batch raises the loss by 0.23, with layer normalisation by nothing. In one process, with statistics over
the whole batch, another order of the batch changes nothing.

## Known limits

Domains are only told apart where the program names them as opposites. Examples with and without labels, clean and
adversarial ones, and samples that are generated are not reported: many of these mixtures are meant. Data that is copied
into a tensor which was there before is not followed. A run loses sight of examples that are copied to another device.

## References

- https://github.com/pytorch/pytorch/issues/1738
- https://github.com/scikit-adaptation/skada/issues/252
- https://github.com/wasidennis/AdaptSegNet/issues/79
- https://github.com/lightly-ai/lightly/issues/18
- He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", 2020, section 3.3:
  https://arxiv.org/abs/1911.05722
- Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 5: https://arxiv.org/abs/2105.07576
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bnlint.analyses.contrast import Leak, leak
from bnlint.analyses.mixtures import Mixture, applied_often, mixtures
from bnlint.dataflow import Choice, Node, Op, Unknown, Value, World, sources
from bnlint.findings import Finding, Group, Location, Step
from bnlint.rule import Rule
from bnlint.trace import Forward, NormCall, NormLayer, Trace

if TYPE_CHECKING:
    from bnlint.runtime.observed import Observed


class OneNormSeveralDistributions(Rule):
    """A layer is applied at several places of a model, or to the data of several domains."""

    code = "BN303"
    name = "one-norm-several-distributions"
    group = Group.INFO
    frameworks = ("pytorch",)

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each layer once."""
        seen: set[Location] = set()
        for forward in trace.of(Forward):
            for calls in applied_often(forward):
                layer = calls[0].layer
                found = _different(calls) if layer.site not in seen else None
                if found is not None:
                    seen.add(layer.site)
                    yield self._finding(layer, *found)
        for mixture in mixtures(trace):
            if mixture.layer.site not in seen:
                seen.add(mixture.layer.site)
                yield self._mixed(mixture)
        found_leak = leak(trace)
        if found_leak is not None and found_leak.key.layer.site not in seen:
            yield self._given_away(found_leak)

    def confirm(self, observed: Observed) -> Iterator[Finding]:
        """Report each layer once."""
        from bnlint.runtime.lives import somewhere
        from bnlint.runtime.strangers import mixed, shared

        seen: set[Location] = set()
        for life, first, again in shared(observed):
            built, site = life.site(observed), somewhere(observed, again.passage.site, again.run.site)
            if built in seen:
                continue
            seen.add(built)
            yield self.finding(
                site,
                f"`{life.layer.name}` normalised several things in one forward pass, and the means of a channel were "
                f"up to {again.passage.apart:.2g} standard deviations apart: its moving statistics are right at none",
                (
                    Step(built, "one layer with one running mean and variance is built here"),
                    Step(somewhere(observed, first.passage.site, first.run.site), "applied here"),
                    Step(site, "applied to something else here in the same forward pass"),
                ),
            )
        for life, again in mixed(observed):
            built, passage = life.site(observed), again.passage
            if built in seen:
                continue
            seen.add(built)
            site = somewhere(observed, passage.mixed_at, passage.site, again.run.site)
            yield self.finding(
                site,
                f"`{life.layer.name}` normalised examples of two sets of data in each training step, each by itself, "
                f"and the means of a channel were {passage.mixed:.2g} standard deviations apart: its moving statistics "
                "are an average over both and right for none",
                (
                    Step(built, "one layer with one running mean and variance is built here"),
                    Step(
                        somewhere(observed, passage.mixed_with, again.run.site),
                        "one set goes through it here",
                    ),
                    Step(site, "the other one goes through it here in the same step"),
                ),
            )

    def _finding(self, layer: NormLayer, first: NormCall, second: NormCall) -> Finding:
        again = _depends(second, first)
        what = "something computed from its own output" if again else "the output of another layer"
        return self.finding(
            second.site,
            f"this batch norm is applied to {what} as well: its moving statistics are an average over all of these "
            "places and right at none",
            (
                Step(layer.site, "one layer with one running mean and variance is built here"),
                Step(first.site, "applied here"),
                Step(second.site, f"applied here to {what}"),
            ),
        )

    def _mixed(self, mixture: Mixture) -> Finding:
        layer, first, second = mixture.layer, mixture.first, mixture.second
        return self.finding(
            second.site,
            f"the batch norms here learn from `{second.domain.name}` and from `{first.domain.name}`, each batch "
            "normalised by itself: their moving statistics are an average over both and right for none",
            (
                Step(layer.site, "one layer with one running mean and variance is built here"),
                Step(first.site, f"it normalises the data of `{first.domain.name}` by itself here"),
                Step(second.site, f"in the same step it normalises the data of `{second.domain.name}` here"),
            ),
        )

    def _given_away(self, found: Leak) -> Finding:
        return self.finding(
            found.answered,
            "the key of an example is normalised with the same batch as its query, the keys that it is compared with "
            "were normalised with other batches: the statistics give away which one belongs to the query",
            (
                Step(found.asked, "the queries are normalised with the statistics of their batch here"),
                Step(
                    found.answered, "another view of the same examples is normalised, in the same order, here"
                ),
                Step(
                    found.compared.site, "both are compared here, beside keys that other statistics have made"
                ),
            ),
        )


def _different(calls: list[NormCall]) -> tuple[NormCall, NormCall] | None:
    """Two applications to tensors of different distributions."""
    for first, second in itertools.combinations(calls[:8], 2):
        if not World(first.guards).allows(second.guards):
            continue
        if _depends(second, first):
            return first, second
        one, other = _makers((first.input,)), _makers((second.input,))
        if one and other and not one & other:
            return first, second
    return None


def _depends(second: NormCall, first: NormCall) -> bool:
    return first.output in sources((second.input,))


def _makers(values: Iterable[Value]) -> set[object]:
    """The layers with weights that computed values, the nearest ones; none if not all is known."""
    found: set[object] = set()
    pending = list(values)
    seen: set[Value] = set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if isinstance(value, Node) and value.op in (Op.WEIGHTED, Op.NORM):
            found.add(value.attrs["call"].layer if value.op == Op.NORM else value.attrs.get("layer"))
        elif isinstance(value, Node):
            pending.extend(value.inputs)
        elif isinstance(value, Choice):
            pending.extend(option for _, option in value.options)
        elif isinstance(value, Unknown):
            pending.extend(value.sources)
    return found - {None}
