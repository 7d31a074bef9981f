"""The part of ``tf.estimator`` that scripts use; TensorFlow 2.16 took it out.

An estimator builds a new graph for each of training, evaluation and prediction, and hands the weights on through
checkpoints. That is what matters here, and it is kept; distribution, warm start and canned models are not there.
"""

from __future__ import annotations

import inspect
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

_ENDS = "tf.estimator of `bnlint run` has no {}; it has what scripts with a model function use."


class ModeKeys:
    """The three modes."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


class EstimatorSpec:
    """What a model function returns."""

    def __init__(
        self,
        mode: str,
        predictions: Any = None,
        loss: Any = None,
        train_op: Any = None,
        eval_metric_ops: Any = None,
        export_outputs: Any = None,
        training_chief_hooks: Any = None,
        training_hooks: Any = None,
        scaffold: Any = None,
        evaluation_hooks: Any = None,
        prediction_hooks: Any = None,
    ) -> None:
        if mode == ModeKeys.TRAIN and (loss is None or train_op is None):
            raise ValueError("Missing loss or train_op.")
        self.mode = mode
        self.predictions = predictions
        self.loss = loss
        self.train_op = train_op
        self.eval_metric_ops = eval_metric_ops or {}
        self.export_outputs = export_outputs
        self.training_hooks = [*(training_chief_hooks or ()), *(training_hooks or ())]
        self.evaluation_hooks = list(evaluation_hooks or ())
        self.prediction_hooks = list(prediction_hooks or ())
        self.scaffold = scaffold


class RunConfig:
    """Settings; most are taken and not used."""

    def __init__(self, model_dir: str | None = None, **others: Any) -> None:
        self.model_dir = model_dir
        self.tf_random_seed = others.get("tf_random_seed")
        self.session_config = others.get("session_config")
        self.__dict__.update(others)

    def replace(self, **others: Any) -> RunConfig:
        """A copy with some of them changed."""
        return RunConfig(**{**self.__dict__, **others})


class TrainSpec:
    """What to train with."""

    def __init__(self, input_fn: Any, max_steps: int | None = None, hooks: Any = None) -> None:
        self.input_fn = input_fn
        self.max_steps = max_steps
        self.hooks = hooks


class EvalSpec:
    """What to evaluate with."""

    def __init__(self, input_fn: Any, steps: int | None = 100, hooks: Any = None, **others: Any) -> None:
        self.input_fn = input_fn
        self.steps = steps
        self.hooks = hooks


class ServingInputReceiver:
    """What an exported model is fed."""

    def __init__(
        self, features: Any, receiver_tensors: Any, receiver_tensors_alternatives: Any = None
    ) -> None:
        self.features = features
        tensors = receiver_tensors
        self.receiver_tensors = tensors if isinstance(tensors, dict) else {"input": tensors}


def install() -> None:
    """Add it to the API of TensorFlow 1, if it is not there."""
    import tensorflow.compat.v1 as v1

    if not hasattr(v1, "estimator"):
        v1.estimator = module(v1)


def module(v1: Any) -> ModuleType:
    """The module ``tensorflow.estimator``."""
    made = ModuleType("tensorflow.estimator")

    class Estimator(_Estimator):
        """Trains, evaluates and predicts with a model function."""

        tf = v1

    def train_and_evaluate(estimator: Any, train_spec: TrainSpec, eval_spec: EvalSpec) -> Any:
        estimator.train(train_spec.input_fn, hooks=train_spec.hooks, max_steps=train_spec.max_steps)
        return estimator.evaluate(eval_spec.input_fn, steps=eval_spec.steps, hooks=eval_spec.hooks), []

    inputs = ModuleType("tensorflow.estimator.inputs")
    vars(inputs).update(numpy_input_fn=_numpy_input_fn(v1))
    export = ModuleType("tensorflow.estimator.export")
    vars(export).update(
        ServingInputReceiver=ServingInputReceiver,
        PredictOutput=_Output,
        ClassificationOutput=_Output,
        RegressionOutput=_Output,
        build_raw_serving_input_receiver_fn=lambda features, **others: (
            lambda: ServingInputReceiver(features, features)
        ),
    )
    vars(made).update(
        ModeKeys=ModeKeys,
        EstimatorSpec=EstimatorSpec,
        Estimator=Estimator,
        RunConfig=RunConfig,
        TrainSpec=TrainSpec,
        EvalSpec=EvalSpec,
        train_and_evaluate=train_and_evaluate,
        inputs=inputs,
        export=export,
        LoggingTensorHook=v1.train.LoggingTensorHook,
        StopAtStepHook=v1.train.StopAtStepHook,
        SessionRunHook=v1.train.SessionRunHook,
    )

    def missing(name: str) -> Any:
        raise AttributeError(_ENDS.format(name))

    made.__getattr__ = missing  # type: ignore[method-assign]
    return made


class _Output:
    def __init__(self, *outputs: Any, **named: Any) -> None:
        given = outputs[0] if outputs else named
        self.outputs = given if isinstance(given, dict) else {"output": given}


class _Estimator:
    tf: Any = None

    def __init__(
        self,
        model_fn: Callable[..., EstimatorSpec],
        model_dir: str | None = None,
        config: RunConfig | None = None,
        params: Any = None,
        warm_start_from: Any = None,
    ) -> None:
        self.config = config or RunConfig()
        self.model_dir = model_dir or self.config.model_dir or tempfile.mkdtemp()
        self.params = params
        self._model_fn = model_fn

    def train(
        self,
        input_fn: Any,
        hooks: Any = None,
        steps: int | None = None,
        max_steps: int | None = None,
        saving_listeners: Any = None,
    ) -> _Estimator:
        """Make training steps, from the last checkpoint on."""
        tf = self.tf
        with tf.Graph().as_default():
            self._seed()
            tf.train.get_or_create_global_step()
            spec = self._build(input_fn, ModeKeys.TRAIN)
            stop = []
            if steps is not None or max_steps is not None:
                stop = [tf.train.StopAtStepHook(num_steps=steps, last_step=max_steps)]
            with tf.train.MonitoredTrainingSession(
                checkpoint_dir=self.model_dir,
                scaffold=spec.scaffold,
                hooks=[*(hooks or ()), *spec.training_hooks, *stop],
                config=self.config.session_config,
                save_summaries_steps=None,
                save_summaries_secs=None,
                log_step_count_steps=None,
            ) as session:
                while not session.should_stop():
                    session.run([spec.train_op, spec.loss])
        return self

    def evaluate(
        self,
        input_fn: Any,
        steps: int | None = None,
        hooks: Any = None,
        checkpoint_path: str | None = None,
        name: str | None = None,
    ) -> dict[str, Any]:
        """The metrics, with the weights of the last checkpoint."""
        tf = self.tf
        with tf.Graph().as_default():
            self._seed()
            step = tf.train.get_or_create_global_step()
            spec = self._build(input_fn, ModeKeys.EVAL)
            metrics = dict(spec.eval_metric_ops)
            metrics["loss"] = tf.metrics.mean(spec.loss)
            updates = tf.group(*[update for _, update in metrics.values()])
            values = {key: value for key, (value, _) in metrics.items()}
            made = 0
            with self._restored(checkpoint_path, [*(hooks or ()), *spec.evaluation_hooks]) as session:
                while steps is None or made < steps:
                    try:
                        session.run([updates, spec.loss])
                    except tf.errors.OutOfRangeError:
                        break
                    made += 1
                return {**session.run(values), "global_step": session.run(step)}

    def predict(
        self,
        input_fn: Any,
        predict_keys: Any = None,
        hooks: Any = None,
        checkpoint_path: str | None = None,
        yield_single_examples: bool = True,
    ) -> Iterator[Any]:
        """The predictions, one example after the other."""
        tf = self.tf
        with tf.Graph().as_default():
            self._seed()
            tf.train.get_or_create_global_step()
            spec = self._build(input_fn, ModeKeys.PREDICT)
            wanted = spec.predictions
            if predict_keys and isinstance(wanted, dict):
                wanted = {key: value for key, value in wanted.items() if key in predict_keys}
            with self._restored(checkpoint_path, [*(hooks or ()), *spec.prediction_hooks]) as session:
                while True:
                    try:
                        got = session.run(wanted)
                    except tf.errors.OutOfRangeError:
                        return
                    if not yield_single_examples:
                        yield got
                    elif isinstance(got, dict):
                        for index in range(len(next(iter(got.values())))):
                            yield {key: value[index] for key, value in got.items()}
                    else:
                        yield from got

    def latest_checkpoint(self) -> str | None:
        """The path of the last checkpoint."""
        found: str | None = self.tf.train.latest_checkpoint(self.model_dir)
        return found

    def export_saved_model(
        self, export_dir_base: str, serving_input_receiver_fn: Any, **others: Any
    ) -> bytes:
        """Write a SavedModel for serving."""
        tf = self.tf
        folder = os.path.join(export_dir_base, str(int(time.time())))
        with tf.Graph().as_default():
            tf.train.get_or_create_global_step()
            receiver = serving_input_receiver_fn()
            spec = self._call(receiver.features, None, ModeKeys.PREDICT)
            outputs = spec.predictions
            for output in (spec.export_outputs or {}).values():
                outputs = output.outputs
            outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
            with self._restored(None, []) as session:
                raw = session
                while hasattr(raw, "_sess"):
                    raw = raw._sess
                tf.get_default_graph()._unsafe_unfinalize()
                tf.saved_model.simple_save(raw, folder, receiver.receiver_tensors, outputs)
        return folder.encode()

    export_savedmodel = export_saved_model

    def get_variable_names(self) -> list[str]:
        """What the last checkpoint holds."""
        return [name for name, _ in self.tf.train.list_variables(self.model_dir)]

    def get_variable_value(self, name: str) -> Any:
        """A value in the last checkpoint."""
        return self.tf.train.load_variable(self.model_dir, name)

    def _seed(self) -> None:
        if self.config.tf_random_seed is not None:
            self.tf.set_random_seed(self.config.tf_random_seed)

    def _restored(self, path: str | None, hooks: list[Any]) -> Any:
        path = path or self.latest_checkpoint()
        if path is None:
            raise ValueError(f"Could not find trained model in model_dir: {self.model_dir}.")
        creator = self.tf.train.ChiefSessionCreator(
            checkpoint_filename_with_path=path, config=self.config.session_config
        )
        return self.tf.train.MonitoredSession(session_creator=creator, hooks=hooks)

    def _build(self, input_fn: Any, mode: str) -> EstimatorSpec:
        accepted = inspect.signature(input_fn).parameters
        given = {"mode": mode, "params": self.params, "config": self.config}
        got = input_fn(**{name: value for name, value in given.items() if name in accepted})
        if hasattr(got, "element_spec") or hasattr(got, "make_one_shot_iterator"):
            iterator = self.tf.data.make_initializable_iterator(got)
            self.tf.add_to_collection(self.tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
            got = iterator.get_next()
        features, labels = got if isinstance(got, (tuple, list)) and len(got) == 2 else (got, None)
        return self._call(features, labels if mode != ModeKeys.PREDICT else None, mode)

    def _call(self, features: Any, labels: Any, mode: str) -> EstimatorSpec:
        accepted = inspect.signature(self._model_fn).parameters
        given = {"labels": labels, "mode": mode, "params": self.params, "config": self.config}
        return self._model_fn(features, **{name: value for name, value in given.items() if name in accepted})


def _numpy_input_fn(tf: Any) -> Any:
    def numpy_input_fn(
        x: Any,
        y: Any = None,
        batch_size: int = 128,
        num_epochs: int | None = 1,
        shuffle: bool | None = None,
        queue_capacity: int = 1000,
        num_threads: int = 1,
    ) -> Any:
        def input_fn() -> Any:
            data = tf.data.Dataset.from_tensor_slices(x if y is None else (x, y))
            if shuffle:
                data = data.shuffle(queue_capacity)
            return tf.data.make_one_shot_iterator(data.repeat(num_epochs).batch(batch_size)).get_next()

        return input_fn

    return numpy_input_fn
