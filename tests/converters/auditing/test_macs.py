"""Multiply-accumulates of operators, against sums by hand."""

import larq as lq
import pytest
import tensorflow as tf

import converters
from converters.auditing.macs import macs_of
from converters.runtime import TfliteFile

from ..conftest import conv

layers = tf.keras.layers


def all_of(content):
    file = TfliteFile(content)
    counts = [macs_of(file, index) for index in range(len(file.operators))]
    return [count for count in counts if count]


def test_of_a_converted_network():
    image = x = tf.keras.Input((8, 8, 3))
    x = layers.Conv2D(40, 3, padding="same")(x)
    x = conv(filters=33, padding="valid")(x)
    # Its outputs are bits, of which the file knows the words.
    x = conv(filters=10, name="second")(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(2)(x)
    x = layers.Dense(7)(layers.Flatten()(x))
    content = converters.convert(tf.keras.Model(image, x), inputs=None).content
    assert all_of(content) == [
        8 * 8 * 40 * 3 * 9,
        6 * 6 * 33 * 40 * 9,
        6 * 6 * 10 * 33 * 9,
        5 * 5 * 10 * 4,
        250 * 7,
    ]


def file_of(function, *shapes):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    traced = tf.function(function).get_concrete_function(*specs)
    return tf.lite.TFLiteConverter.from_concrete_functions([traced]).convert()


@pytest.mark.parametrize(("first", "second"), [(False, False), (True, True)])
def test_of_a_product_of_matrices(first, second):
    shapes = ((2, 5, 3) if first else (2, 3, 5)), ((2, 7, 5) if second else (2, 5, 7))

    def product(x, y):
        return tf.matmul(x, y, transpose_a=first, transpose_b=second)

    assert all_of(file_of(product, *shapes)) == [2 * 3 * 5 * 7]


def test_of_groups():
    image = tf.keras.Input((4, 4, 64))
    layer = conv(filters=32, groups=2, padding="valid", pad_values=0.0)
    content = converters.convert(tf.keras.Model(image, layer(image)), inputs=None)
    assert all_of(content.content) == [2 * 2 * 32 * 32 * 9]
    assert isinstance(layer, lq.layers.QuantConv2D)


def test_of_spread_and_deep_convolutions():
    kernel, deep = tf.ones((2, 2, 5, 3)), tf.ones((2, 2, 2, 3, 4))

    def spread(x):
        return tf.nn.conv2d_transpose(x, kernel, (1, 8, 8, 5), 2)

    assert all_of(file_of(spread, (1, 4, 4, 3))) == [4 * 4 * 3 * 5 * 4]

    def convolved(x):
        return tf.nn.conv3d(x, deep, [1] * 5, "VALID")

    assert all_of(file_of(convolved, (1, 4, 4, 4, 3))) == [27 * 4 * 3 * 8]
