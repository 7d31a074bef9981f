"""Keras models that are exported under `bnlint run`: what is said of an export is what its answers show.

Where the answer for an example depends on the batch that it is in, the layer is in training mode.
"""

from __future__ import annotations

import json
from pathlib import Path

from .eager import both, needs_tensorflow, observe

SCRIPT = """
    import json
    import os
    import tempfile

    import numpy as np
    import tensorflow as tf

    keras = tf.keras
    legacy = os.environ["TF_USE_LEGACY_KERAS"] == "1"
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (64, 3)).astype("float32")
    ROWS = tf.TensorSpec([None, 3], tf.float32)
    depends = {}

    def graph_of_layers(name, **phase):
        inputs = keras.Input((3,))
        x = keras.layers.BatchNormalization(name=name)(keras.layers.Dense(8)(inputs), **phase)
        return keras.Model(inputs, keras.layers.Dense(2)(x))

    class Net(keras.Model):
        def __init__(self, name):
            super().__init__()
            self.dense = keras.layers.Dense(8)
            self.norm = keras.layers.BatchNormalization(name=name)
            self.out = keras.layers.Dense(2)

        def call(self, x, training=None):
            return self.out(self.norm(self.dense(x), training=training))

    class Fixed(Net):
        def call(self, x, training=None):
            return self.out(self.norm(self.dense(x), training=True))

    class Default(Net):
        def call(self, x, training=True):
            return self.out(self.norm(self.dense(x), training=training))

    def measure(how, answer):
        apart = np.abs(np.asarray(answer(X))[:4] - np.asarray(answer(X[:4]))).max()
        if apart > 1e-3:
            depends.setdefault(name, []).append(how)

    def served(to, signature="serving_default"):
        function = tf.saved_model.load(to).signatures[signature]
        return lambda rows: list(function(tf.constant(rows)).values())[0]

    def lite(content):
        interpreter = tf.lite.Interpreter(model_content=content)
        def answer(rows):
            place = interpreter.get_input_details()[0]["index"]
            interpreter.resize_tensor_input(place, rows.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(place, rows)
            interpreter.invoke()
            return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        return answer

    def function(model, **phase):
        return tf.function(lambda rows: {"scores": model(rows, **phase)}, input_signature=[ROWS])

    def predicted(path):
        model = keras.models.load_model(path, compile=False)
        return lambda rows: model.predict(rows, verbose=0)

    models = [
        graph_of_layers("plain"), graph_of_layers("told", training=True), Net("handed"), Fixed("fixed"),
        Default("default"),
    ]
    for model in models:
        model.compile("sgd", "mse")
        model.fit(X, X[:, :2], epochs=2, verbose=0)
        name = next(layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
        to = tempfile.mkdtemp
        model.export(folder := to())  # export
        measure("export", served(folder))
        tf.saved_model.save(model, folder := to())  # save
        measure("save", served(folder))
        tf.saved_model.save(model, folder := to(), signatures=function(model, training=False))  # inference
        measure("inference", served(folder))
        tf.saved_model.save(model, folder := to(), signatures=function(model, training=True))  # training
        measure("training", served(folder))
        signatures = {"adapt": function(model, training=True), "infer": function(model, training=False)}
        tf.saved_model.save(model, folder := to(), signatures=signatures)  # beside
        measure("beside", served(folder, "infer"))
        converter = tf.lite.TFLiteConverter.from_keras_model(model)  # lite
        measure("lite", lite(converter.convert()))
        if legacy:
            concrete = function(model).get_concrete_function()
            converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)  # concrete
            measure("concrete", lite(converter.convert()))
            model.save(folder := to())  # folder
            measure("folder", served(folder))
        if name in ("plain", "told"):
            model.save(path := os.path.join(to(), "model.h5"))  # h5
            measure("h5", predicted(path))
            keras.models.save_model(model, path := os.path.join(to(), "model.keras"))  # file
            measure("file", predicted(path))

    open("depends.json", "w").write(json.dumps(depends))

    # What cannot be told, or is no export.
    @tf.function(input_signature=[ROWS, tf.TensorSpec([], tf.bool)])
    def either(rows, training):
        return {"scores": models[2](rows, training=True) if training else models[2](rows, training=True)}

    tf.saved_model.save(models[2], to(), signatures=either)

    @tf.function(input_signature=[ROWS])
    def step(rows):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(models[2](rows, training=True) ** 2)
        gradients = tape.gradient(loss, models[2].trainable_variables)
        models[2].optimizer.apply_gradients(zip(gradients, models[2].trainable_variables))
        return {"loss": loss}

    models[2].optimizer.build(models[2].trainable_variables)
    tf.saved_model.save(models[2], to(), signatures=step)

    frozen = graph_of_layers("frozen", training=True)
    frozen.trainable = False
    frozen.export(to())
    try:
        tf.saved_model.save(models[3], to(), signatures=lambda rows: rows)
    except ValueError:
        print("no such export")
"""
KERAS_2 = ["export", "save", "inference", "training", "lite", "concrete", "folder"]
EXPECTED = {
    False: {
        "plain": ["training"],
        "told": ["export", "save", "training"],
        "handed": ["training"],
        "fixed": ["export", "save", "inference", "training", "beside", "lite"],
        "default": ["export", "save", "training"],
    },
    True: {
        "plain": ["training"],
        "told": [*KERAS_2, "beside", "h5", "file"],
        "handed": ["training"],
        "fixed": [*KERAS_2, "beside"],
        "default": ["export", "training", "concrete"],
    },
}


@needs_tensorflow
@both
def test_an_export_is_in_training_mode_where_its_answers_depend_on_the_batch(
    tmp_path: Path, legacy: bool
) -> None:
    seen = observe(tmp_path, SCRIPT, legacy=legacy)
    assert "no such export" in seen.out
    expected = {name: set(places) for name, places in EXPECTED[legacy].items()}
    depends = json.loads((tmp_path / "depends.json").read_text("utf-8"))
    assert {name: set(places) for name, places in depends.items()} == expected

    exports = [checkpoint for checkpoint in seen.observed.checkpoints if checkpoint.writes]
    told: dict[str, set[str]] = {}
    for export in exports:
        assert export.site is not None
        label = seen.script.splitlines()[export.site.line - 1].rpartition("# ")[2]
        for key in export.training_mode:
            told.setdefault(key, set()).add(label)
    assert told == expected
    lines = {seen.line(f"# {label}") for places in expected.values() for label in places}
    assert {line for code, line in seen.findings() if code == "BN801"} == lines
