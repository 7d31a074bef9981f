"""A batch norm written by hand for PyTorch, and one mistake at a time."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Own(nn.Module):
    """Right; each mistake below changes one method."""

    def __init__(self, size: int = 4, share: float = 0.1, eps: float = 1e-3) -> None:
        super().__init__()
        self.share = share
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(size))
        self.beta = nn.Parameter(torch.zeros(size))
        self.keep(size)

    def keep(self, size) -> None:
        self.register_buffer("moving_mean", torch.zeros(size))
        self.register_buffer("moving_variance", torch.ones(size))

    def forward(self, x):
        mean, variance = x.mean(0), x.var(0, unbiased=False)
        if self.training:
            self.update(mean.detach(), variance.detach())
            return self.in_training(x, mean, variance)
        return self.in_inference(x, mean, variance)

    def in_training(self, x, mean, variance):
        return self.formula(x, mean, variance, self.eps)

    def in_inference(self, x, mean, variance):
        return self.formula(x, self.moving_mean, self.moving_variance, self.eps)

    def formula(self, x, mean, variance, epsilon):
        return (x - mean) / torch.sqrt(variance + epsilon) * self.gamma + self.beta

    def update(self, mean, variance):
        self.moving_mean = (1 - self.share) * self.moving_mean + self.share * mean
        self.moving_variance = (1 - self.share) * self.moving_variance + self.share * variance


class WrongEpsilonInTraining(Own):
    def in_training(self, x, mean, variance):
        return self.formula(x, mean, variance, 0.1)


class ForgetsVarianceInInference(Own):
    def in_inference(self, x, mean, variance):
        return (x - self.moving_mean) * self.gamma + self.beta


class BatchInInference(Own):
    def in_inference(self, x, mean, variance):
        return self.formula(x, mean, variance, self.eps)


class NeverMoves(Own):
    def update(self, mean, variance):
        pass


class MovesInInference(Own):
    def in_inference(self, x, mean, variance):
        y = super().in_inference(x, mean, variance)
        self.update(mean, variance)
        return y


class KeepsTheDeviation(Own):
    def update(self, mean, variance):
        super().update(mean, torch.sqrt(variance))


class FollowsAShift(Own):
    """Takes the batch's statistics when they are far from its own."""

    def in_inference(self, x, mean, variance):
        far = ((mean - self.moving_mean).abs() > 2 * self.moving_variance.sqrt()).any()
        if far:
            return self.formula(x, mean, variance, self.eps)
        return super().in_inference(x, mean, variance)


class OtherwiseForOne(Own):
    """A batch of one gets other statistics."""

    def in_inference(self, x, mean, variance):
        if len(x) == 1:
            return self.formula(x, mean, variance, self.eps)
        return super().in_inference(x, mean, variance)


class PlainTensors(Own):
    """Its statistics are no buffers."""

    def keep(self, size) -> None:
        self.moving_mean, self.moving_variance = torch.zeros(size), torch.ones(size)


class NotPersistent(Own):
    def keep(self, size) -> None:
        self.register_buffer("moving_mean", torch.zeros(size), persistent=False)
        self.register_buffer("moving_variance", torch.ones(size), persistent=False)


class StandardDeviationForVariance(Own):
    def formula(self, x, mean, variance, epsilon):
        return super().formula(x, mean, variance.sqrt(), epsilon)


class AsksAutograd(Own):
    """Told the mode by whether gradients are on."""

    def forward(self, x):
        mean, variance = x.mean(0), x.var(0, unbiased=False)
        if torch.is_grad_enabled():
            self.update(mean.detach(), variance.detach())
            return self.in_training(x, mean, variance)
        return self.in_inference(x, mean, variance)


class WithFormula(nn.Module):
    """Calls PyTorch's formula on its buffers."""

    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))

    def forward(self, x):
        statistics = (self.running_mean, self.running_var)
        return functional.batch_norm(x, *statistics, self.weight, self.bias, **self.more())

    def more(self):
        return {"training": self.training, "momentum": 0.2, "eps": 1e-4}


class AlwaysTraining(WithFormula):
    def more(self):
        return {"training": True}


class NeverTraining(WithFormula):
    def more(self):
        return {}


class Formula(nn.Module):
    """The formula without statistics of its own."""

    def forward(self, x):
        return functional.batch_norm(x, None, None, training=True)


class MadeInForward(nn.Module):
    def forward(self, x):
        return nn.BatchNorm1d(x.shape[1])(x)


class MadeAtFirst(nn.Module):
    """Made when it is first called, and kept."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = None

    def forward(self, x):
        if self.norm is None:
            self.norm = nn.BatchNorm1d(x.shape[1])
        return self.norm(x)


class InAList(nn.Module):
    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.norms = [nn.BatchNorm1d(size)]

    def forward(self, x):
        return self.norms[0](x)


class DeafToTheMode(nn.Module):
    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(size)

    def forward(self, x):
        return self.norm(x)

    def train(self, mode: bool = True):
        self.training = mode
        return self


class KeepsItsNormFrozen(DeafToTheMode):
    def train(self, mode: bool = True):
        nn.Module.train(self, mode)
        self.norm.eval()
        return self
