"""int8 inputs and outputs of tensors that something else reads, too."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.int8.io import with_int8_io
from converters.runtime import Interpreter, TfliteFile

from ..conftest import conv, noise

keras = tf.keras.layers


def body():
    tf.keras.utils.set_random_seed(0)
    inputs = tf.keras.Input((6, 6, 8), name="image")
    x = conv(filters=16, name="first")(inputs)
    return inputs, keras.Conv2D(12, 3, name="map")(x)


def branch(x):
    return conv(filters=8, name="branch")(x)


def logits(x):
    return keras.Dense(3, name="logits")(keras.Flatten()(x))


# Outputs of the input and of the map, and the types that they have in the file.
TABLE = {
    "map and what is behind it": (lambda i, x: [x, branch(x)], "int8 int8"),
    "map and its signs": (
        lambda i, x: [x, lq.quantizers.SteSign()(x)],
        "int8 int8",
    ),
    "signs alone": (lambda i, x: [lq.quantizers.SteSign()(x)], "int8"),
    "signs, and a layer that reads them": (
        lambda i, x: (lambda s: [s, keras.Conv2D(4, 1)(s)])(lq.quantizers.SteSign()(x)),
        "int8 int8",
    ),
    "dense and the input": (lambda i, x: [logits(x), i], "int8 int8"),
    "the input, first": (lambda i, x: [i, x], "int8 int8"),
    "map, head, pooled branch": (
        lambda i, x: [
            x,
            keras.Conv2D(5, 1)(x),
            keras.GlobalAveragePooling2D()(branch(x)),
        ],
        "int8 int8 int8",
    ),
    "map and its argmax": (lambda i, x: [x, tf.argmax(x, -1)], "int8 int64"),
    "logits and their argmax": (
        lambda i, x: (lambda y: [y, tf.argmax(y, -1)])(logits(x)),
        "int8 int64",
    ),
    "the argmax alone": (lambda i, x: [tf.argmax(logits(x), -1)], "int64"),
    "one tensor twice": (lambda i, x: [x, x], "int8 int8"),
    "a comparison": (lambda i, x: [x, x > 0.0], "int8 bool"),
    "a sum of the map and the branch": (
        lambda i, x: [x, keras.Concatenate()([x, keras.Conv2D(12, 1)(x)])],
        "int8 int8",
    ),
    "map and its softmax": (lambda i, x: [x, tf.nn.softmax(x)], "int8 int8"),
}


ORDINARY = (
    "map and what is behind it",
    "map and its signs",
    "dense and the input",
    "map, head, pooled branch",
    "logits and their argmax",
    "one tensor twice",
)


@pytest.mark.parametrize(
    "name",
    [n if n in ORDINARY else pytest.param(n, marks=pytest.mark.slow) for n in TABLE],
)
def test_int8_io_answers_as_float32_ones(name, monkeypatch):
    build, kinds = TABLE[name]
    inputs, x = body()
    model = tf.keras.Model(inputs, build(inputs, x))
    samples = noise(model, 8)
    before = []

    def spy(content):
        before.append(content)
        return with_int8_io(content)

    monkeypatch.setattr("converters.lowering.lce.with_int8_io", spy)
    content = converters.convert(
        model, inputs=None, calibration=samples, int8_io=True
    ).content
    real, steps = (Interpreter(one, backend="delegate") for one in (before[0], content))
    assert [info.dtype.name for info in real.inputs] == ["float32"]
    assert [info.dtype.name for info in steps.inputs] == ["int8"]
    assert [info.dtype.name for info in steps.outputs] == kinds.split()
    assert [info.name for info in steps.outputs] == [
        name.partition(":")[0] for name in model.output_names
    ]
    for backend in ("delegate", "lce"):
        found = Interpreter(content, backend=backend)
        for one in np.split(samples, len(samples)):
            for array, other in zip(answers(found, one), answers(real, one)):
                np.testing.assert_array_equal(array, other)


def answers(interpreter, one):
    """The outputs in the order of the file, as real numbers."""
    arrays = interpreter.run_once(interpreter.first_of(one))
    return [i.real(array) for i, array in zip(interpreter.outputs, arrays, strict=True)]


def test_a_file_without_int8_stays_as_it_is():
    inputs, x = body()
    content = converters.convert(tf.keras.Model(inputs, x), inputs=None).content
    changed = TfliteFile(with_int8_io(content))
    assert changed.operators == TfliteFile(content).operators
    assert changed.dtype(changed.inputs[0]) == np.float32


def test_an_output_twice_has_both_names():
    inputs, x = body()
    other = keras.Activation("linear", name="other")(x)
    model = tf.keras.Model(inputs, [x, other])
    samples = noise(model, 4)
    found = Interpreter(converters.convert(model, inputs=samples).content).predict(
        samples
    )
    assert list(found) == ["map", "other"]
    np.testing.assert_array_equal(found["map"], found["other"])
