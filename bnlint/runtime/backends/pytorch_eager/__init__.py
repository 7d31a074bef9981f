"""PyTorch: watches layers being applied, gradients, optimizers and modes.

- ``watch``: what all of it shares; ``stack``: which modules are being called, and the user's lines.
- ``patches``: functions in the place of others, of which the compiler of PyTorch sees nothing.
- ``known``: the layers that normalise; ``applied``: what they do with their inputs; ``origins``: what computed those;
  ``recurrent``: inputs that are sequences of features.
- ``modules``, ``modes``: calls of ``train`` and ``eval``, copies, and statistics that are replaced.
- ``examples``: which set of data the batches are from.
- ``optimizers``: what changes weights; ``derivatives``: gradients that become a part of the loss.
- ``keeping``, ``onnx``: state dictionaries, files and exports; ``compiled``: what ``torch.compile`` made.
- ``steps``: from forward passes, gradients and updates of weights to runs and what they are for.

No value is changed, and no random number is drawn: results are what they were.

What rules find in ``Observed`` about a program of PyTorch (``framework`` is ``pytorch``):

- Layers: modules, and calls of ``F.batch_norm`` (``api`` is ``torch.nn.functional.batch_norm``, ``site`` is the call).
  ``given``: arguments by position. ``in_forward``: built while a module is being called; ``rebuilt``: how often anew.
  ``registered`` and ``buffered``: whether the model that runs it has it, and its statistics. ``left_behind``: the
  model says that it is in evaluation mode, and nothing inside is. ``copy_of``: the layer
  that ``copy.deepcopy`` made it of; an average of weights has another ``last_scale`` than ``initial_scale``, no run
  that trains it, and ``last_mean`` is ``initial_mean``. ``statistics_type``: ``float16`` or ``bfloat16`` is half
  precision. ``stale``: it was used in evaluation mode right after ``reset_running_stats`` or after the
  ``update_parameters`` of an ``AveragedModel``, by the line ``stale_site``. ``momentum`` is the share that is kept, or
  None for the plain average of all.
- Runs: ``purpose`` is that of the optimizer and autograd, ``recorded`` says whether autograd recorded it, ``training``
  is the mode of the outermost module: False where a layer in it normalises by the batch is a layer that ``eval`` does
  not reach. Runs are told apart by that and by the statistics that were used, so that each has one mode for a layer.
  ``repeats``: one input again and again, with dropout. ``gathered``: how many forward passes from the same lines went
  into one step, each with a backward pass of its own.
- Passages: ``origin`` is ``mode`` (``phase_site`` is the line of the last ``train`` or ``eval`` that set it),
  ``argument`` (``fixed`` for a literal True), ``default``, or ``none`` without statistics. ``trainable``: whether gamma
  requires a gradient; ``trained``: whether the optimizer of the step has gamma or beta. A frozen layer that goes on
  learning is ``trained is False and moved``. ``apart``: how different the things are that it was applied to in one
  forward pass. ``mixed``: how different the examples of two loaders are that it was applied to in one step, in calls
  of their own (``mixed_with``, ``mixed_at``). ``updates`` counts those of one step; with ``recomputed`` activation
  checkpointing, asked for at ``checkpoint``, made some of them. ``converted`` is the line that put the statistics into
  the ``statistics_type``; ``penalised`` the one that took a gradient by examples on which the loss of a step depends.
- ``switches``: the lines that call ``train`` and ``eval``, with the layers that they reached, in order of ``order``.
- ``checkpoints``: ``torch.save`` and ``load_state_dict`` with the layers whose statistics are ``missing`` although
  their weights are there, ``strict``, ``left_out`` and ``unused``; exports with ``training_mode``, where they were
  traced, if what was traced is saved.
- ``symptoms.Source.MODE`` goes with ``evaluated_by_batch`` and ``trained_in_inference``.

Not seen: formulas that are written by hand, updates of weights without an optimizer, what is inside of a function that
``torch.compile`` made, modes that are set by ``training = False``, the replicas of ``nn.DataParallel``, and from which
loader examples are that were copied, to another device for example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnlint.runtime.script.recorder import Recorder


def observe(recorder: Recorder) -> None:
    """Patch PyTorch, which has been imported."""
    import torch

    from bnlint.runtime.backends.pytorch_eager import (
        applied,
        derivatives,
        keeping,
        modules,
        optimizers,
        recurrent,
    )
    from bnlint.runtime.backends.pytorch_eager.watch import watch_of

    recorder.framework("torch", str(torch.__version__))
    watch = watch_of(recorder)
    watch.examples.observe()
    applied.observe(watch)
    modules.observe(watch)
    optimizers.observe(watch)
    keeping.observe(watch)
    recurrent.observe(watch)
    derivatives.observe(watch)
