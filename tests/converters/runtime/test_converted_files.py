"""Files of TFLiteConverter with computed sizes pass the checker and run correctly."""

import numpy as np
import pytest
import tensorflow as tf

from converters.runtime import Interpreter

WEIGHTS = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


def spec(*shape, dtype=tf.float32):
    return tf.TensorSpec(shape, dtype)


def recurrent(layer, steps=9):
    model = tf.keras.Sequential([tf.keras.Input((steps, 4), batch_size=1), layer])
    return tf.function(model), [spec(1, steps, 4)]


def collected(x):
    made = tf.TensorArray(tf.float32, 3, element_shape=(4,))
    for place in tf.range(3):
        made = made.write(place, x[place] * tf.cast(place, tf.float32))
    return made.stack()


def halved(x):
    sizes = tf.cast(tf.cast(tf.shape(x)[1:3], tf.float32) * 0.5, tf.int32)
    return tf.image.resize(x, sizes)


IMAGES = spec(None, 8, 8, 2)
ROWS = spec(3, 4)
FILES = {
    "lstm of sequences": lambda: recurrent(
        tf.keras.layers.LSTM(3, return_sequences=True)
    ),
    "lstm of any number of steps": lambda: recurrent(
        tf.keras.layers.LSTM(3, return_sequences=True), None
    ),
    "map_fn": lambda: (
        lambda x: tf.map_fn(lambda z: z @ WEIGHTS, x),
        [spec(3, 2, 4)],
    ),
    "a loop that collects": lambda: (collected, [ROWS]),
    "a reshape by a shape": lambda: (
        lambda x: tf.reshape(x, [tf.shape(x)[0], -1]),
        [IMAGES],
    ),
    "a fill by a shape": lambda: (lambda x: tf.fill(tf.shape(x), 3.0) + x, [IMAGES]),
    "a range by a shape": lambda: (
        lambda x: x + tf.range(tf.shape(x)[1], dtype=tf.float32),
        [spec(None, 4)],
    ),
    "a resize to twice the shape": lambda: (
        lambda x: tf.image.resize(x, tf.shape(x)[1:3] * 2, "nearest"),
        [IMAGES],
    ),
    "a resize to half the shape": lambda: (halved, [IMAGES]),
    "margins by a shape": lambda: (
        lambda x: tf.pad(x, [[0, 0], [0, 16 - tf.shape(x)[1]], [0, 0], [0, 0]]),
        [IMAGES],
    ),
    "tiles by a shape": lambda: (
        lambda x: tf.tile(x[:1], [tf.shape(x)[0], 2]),
        [ROWS],
    ),
    "a transposed convolution by a shape": lambda: (
        lambda x: tf.nn.conv2d_transpose(
            x, np.ones((3, 3, 6, 2), np.float32), [tf.shape(x)[0], 16, 16, 6], 2
        ),
        [IMAGES],
    ),
    "a lookup by an input": lambda: (
        lambda i: tf.gather(WEIGHTS, i),
        [spec(1, 3, dtype=tf.int32)],
    ),
    "one_hot": lambda: (lambda i: tf.one_hot(i, 5), [spec(1, 3, dtype=tf.int32)]),
    "top_k": lambda: (lambda x: tf.math.top_k(x, 2).values, [ROWS]),
    "boxes": lambda: (
        lambda x: tf.image.non_max_suppression_padded(
            x, x[:, 0], 5, pad_to_max_output_size=True
        )[0],
        [spec(6, 4)],
    ),
    "where": lambda: (lambda x: tf.gather_nd(x, tf.where(x > 0)), [ROWS]),
    "a slice up to an input": lambda: (
        lambda x, n: x[:, : n[0]] * 2,
        [ROWS, spec(1, dtype=tf.int32)],
    ),
    "a quotient of inputs": lambda: (
        lambda x, y: x // y,
        [spec(1, 4, dtype=tf.int32)] * 2,
    ),
    "a remainder": lambda: (lambda x: x % 3, [spec(1, 4, dtype=tf.int32)]),
}


SLOW = "lstm of any number of steps"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == SLOW else [])
        for name in FILES
    ],
)
def test_converted_files_of_computed_sizes_run(name):
    function, inputs = FILES[name]()
    concrete = tf.function(function).get_concrete_function(*inputs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], function)
    interpreter = Interpreter(converter.convert(), backend="delegate")
    rng = np.random.default_rng(1)
    arrays = [
        rng.integers(1, 4, shape).astype(np.int32)
        if one.dtype == tf.int32
        else rng.normal(size=shape).astype(np.float32)
        for one in inputs
        for shape in [[size or 1 for size in one.shape]]
    ]
    expected = concrete(*map(tf.constant, arrays))
    expected = expected[0] if isinstance(expected, (list, tuple)) else expected
    result = interpreter.run_once(arrays)[0]
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
