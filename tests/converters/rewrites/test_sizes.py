"""What a rewrite saved, counted by hand."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.graph.freezing import freeze
from converters.graph.graph import Graph
from converters.graph.sizes import GraphSize, size_of
from converters.rewrites import rewrite


def sized(build, shape=(1, 4, 4, 3)):
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, shape, name="x")
        tf.identity(build(x), name="y")
    return size_of(Graph(graph.as_graph_def(), {}, {"y": "y:0"}))


def test_operations_that_depend_on_the_inputs_and_their_constants_count():
    kernel = np.random.default_rng(0).normal(size=(2, 2, 3, 5)).astype(np.float32)

    def build(x):
        offset = tf.constant(np.arange(5.0, dtype=np.float32))
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
        tf.square(y)  # Nobody needs it.
        return tf.identity(y) + tf.exp(offset) + tf.exp(offset)[::-1]

    # A convolution and two sums; the kernel and two offsets that are constants.
    assert sized(build) == GraphSize(3, 4 * (2 * 2 * 3 * 5 + 5 + 5))
    twice = sized(lambda x: [c := tf.constant([2.0]), (x + c) * c][1])
    assert twice == GraphSize(2, 4)


def test_binary_kernels_of_convolutions_are_bits():
    signs = np.random.default_rng(0).choice([-0.5, 0.5], (2, 2, 3, 5))
    signs = signs.astype(np.float32)
    scale = np.arange(1, 6, dtype=np.float32)

    def convolved(kernel):
        return sized(lambda x: tf.nn.conv2d(x, kernel(), 1, "SAME"))

    bits = GraphSize(1, -(-2 * 2 * 3 * 5 // 8))
    assert convolved(lambda: signs) == convolved(lambda: signs * scale) == bits
    assert convolved(lambda: tf.sign(tf.sign(signs + 1) + 0.1)) == bits
    assert convolved(lambda: tf.sign(tf.sign(signs) + 0.1) * scale) == bits
    assert convolved(lambda: signs + 1e-3) == GraphSize(1, 4 * 60)
    assert convolved(lambda: tf.exp(signs)) == GraphSize(1, 4 * 60)
    # In a product of matrices they are real.
    matrix = signs.reshape(12, 5)
    assert sized(lambda x: x @ matrix, (1, 12)) == GraphSize(1, 4 * 60)


def test_a_binary_dense_layer_saves_31_of_32_parts():
    layer = lq.layers.QuantDense(
        32, input_quantizer="ste_sign", kernel_quantizer="ste_sign", use_bias=False
    )
    model = tf.keras.Sequential([tf.keras.Input((48,)), layer])
    (entry,) = rewrite(freeze(model), "dense_to_conv")
    # A reshaping to an image and one back, with 4 and 2 sizes.
    assert entry.after.operations == entry.before.operations + 2
    saved = entry.before.constant_bytes - entry.after.constant_bytes
    assert saved == 48 * 32 * 4 - 48 * 32 // 8 - 4 * (4 + 2)
    with pytest.warns(UserWarning, match="stayed float"):
        report = converters.convert(model, inputs=None, rewrites="dense_to_conv").report
    before, after = entry.before, entry.after
    assert (
        f"| dense_to_conv | {layer.name} "
        f"| {before.operations} → {after.operations} "
        f"| {before.constant_bytes:,} → {after.constant_bytes} |"
    ) in report.markdown()
