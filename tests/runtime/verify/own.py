"""A batch norm written by hand, and one mistake at a time."""

from __future__ import annotations

import keras
import tensorflow as tf


class Own(keras.layers.Layer):
    """Right; each mistake below changes one method."""

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, shape) -> None:
        size = (shape[-1],)
        self.gamma = self.add_weight(shape=size, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=size, initializer="zeros", name="beta")
        self.moving_mean = self.add_weight(
            shape=size, initializer="zeros", trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape=size, initializer="ones", trainable=False, name="moving_var"
        )

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}

    def call(self, x, training=None):
        mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        if training:
            self.update(mean, variance)
            return self.in_training(x, mean, variance)
        return self.in_inference(x, mean, variance)

    def in_training(self, x, mean, variance):
        return self.formula(x, mean, variance, self.epsilon)

    def in_inference(self, x, mean, variance):
        return self.formula(x, self.moving_mean, self.moving_variance, self.epsilon)

    def formula(self, x, mean, variance, epsilon):
        return tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, epsilon)

    def update(self, mean, variance):
        m = self.momentum
        self.moving_mean.assign(m * self.moving_mean + (1 - m) * mean)
        self.moving_variance.assign(m * self.moving_variance + (1 - m) * variance)


class WrongEpsilonInTraining(Own):
    def in_training(self, x, mean, variance):
        return self.formula(x, mean, variance, 0.1)


class ForgetsVarianceInInference(Own):
    def in_inference(self, x, mean, variance):
        return (x - self.moving_mean) * self.gamma + self.beta


class BatchInInference(Own):
    def in_inference(self, x, mean, variance):
        return self.formula(x, mean, variance, self.epsilon)


class NeverMoves(Own):
    def update(self, mean, variance):
        pass


class Inverted(Own):
    def update(self, mean, variance):
        m = 1 - self.momentum
        self.moving_mean.assign(m * self.moving_mean + (1 - m) * mean)
        self.moving_variance.assign(m * self.moving_variance + (1 - m) * variance)


class MovesTwice(Own):
    def update(self, mean, variance):
        super().update(mean, variance)
        super().update(mean, variance)


class MovesInInference(Own):
    def in_inference(self, x, mean, variance):
        y = super().in_inference(x, mean, variance)
        self.update(mean, variance)
        return y


class KeepsTheDeviation(Own):
    def update(self, mean, variance):
        super().update(mean, tf.sqrt(variance))


class FollowsAShift(Own):
    """Takes the batch's statistics when they are far from its own."""

    def in_inference(self, x, mean, variance):
        far = tf.reduce_any(tf.abs(mean - self.moving_mean) > 2 * tf.sqrt(self.moving_variance))
        followed = self.formula(x, mean, variance, self.epsilon)
        return tf.where(far, followed, super().in_inference(x, mean, variance))


class OtherwiseForOne(Own):
    """A batch of one gets other statistics."""

    def in_inference(self, x, mean, variance):
        if x.shape[0] == 1:
            return self.formula(x, mean, variance, self.epsilon)
        return super().in_inference(x, mean, variance)


class ForgetsItsVariables(Own):
    """Its statistics are variables that Keras does not know of."""

    def build(self, shape) -> None:
        super().build(shape)
        self.moving_mean = tf.Variable(tf.zeros(shape[-1:]), trainable=False)
        self.moving_variance = tf.Variable(tf.ones(shape[-1:]), trainable=False)


class MovesWhenFrozen(Own):
    def call(self, x, training=None):
        mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        if training:
            self.update(mean, variance)
        return self.in_inference(x, mean, variance)
