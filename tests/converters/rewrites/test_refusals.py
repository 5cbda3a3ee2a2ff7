"""The debug log says why a rewrite leaves a pattern as it is."""

import logging

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from converters.graph.freezing import freeze
from converters.rewrites import rewrite

from .test_rewrites import (
    NO_OP,
    binary,
    bnext,
    conv,
    convs_of_one_kernel,
    functional,
    layers,
    norm,
    padded,
    plus,
    trained_looking,
)


def norm_of_its_own_scale(x):
    """A batch normalization whose gamma depends on the inputs."""
    gamma, ones = tf.reduce_mean(x, (0, 1, 2)), np.ones(x.shape[-1], np.float32)
    y, *_ = tf.compat.v1.nn.fused_batch_norm(
        x, gamma, ones, ones, ones, is_training=False
    )
    return y


def cropped(x):
    """A dilated convolution in three operations that crops its first row."""
    kernel = np.ones((3, 3, 32, 4), np.float32)
    pieces = tf.space_to_batch_nd(x, [2, 2], [[1, 1], [1, 1]])
    y = tf.nn.conv2d(pieces, kernel, 1, "VALID")
    return tf.batch_to_space(y, [2, 2], [[1, 0], [1, 0]])


# Rewrite, network, and what the log says of it: layer and reason.
REFUSALS = {
    "gamma": (
        "fuse_batchnorm_into_sign",
        lambda x: conv()(layers.Lambda(norm_of_its_own_scale, name="own")(x)),
        "own: gamma is no constant",
    ),
    "norm_after_conv": (
        "fuse_batchnorm_into_sign",
        lambda x: conv()(norm(conv()(x), name="between")),
        "between: it joins the convolution before it, and costs nothing",
    ),
    "used_norm": (
        "fuse_batchnorm_into_sign",
        lambda x: next(layers.Add()([conv()(y), y]) for y in [norm(x, name="used")]),
        "used: not only a sign uses it",
    ),
    "flips_into_ones": (
        "fuse_batchnorm_into_sign",
        lambda x: conv(name="ones", padding="valid", groups=2)(norm(x, name="signed")),
        "signed: ones, which takes its flipped signs, is not binary",
    ),
    "real_dense": (
        "dense_to_conv",
        lambda x: layers.Dense(3, name="real")(
            lq.quantizers.SteSign()(layers.Flatten()(x))
        ),
        "real: its matrix is not +c and -c in each column",
    ),
    "real_kernel_of_scaled_signs": (
        "fuse_sign_scale",
        lambda x: layers.Conv2D(3, 3, name="real")(0.3 * lq.quantizers.SteSign()(x)),
        "real: its kernel is not +c and -c in each output channel",
    ),
    "binary_groups": (
        "split_grouped_convs",
        lambda x: conv(groups=2, name="groups")(x),
        "groups: its inputs are signs",
    ),
    "one_kernel": (
        "merge_parallel_convs",
        convs_of_one_kernel,
        "concatenate: two of its convolutions share a kernel, which would be stored "
        "twice",
    ),
    "unequal_sizes": (
        "merge_parallel_convs",
        lambda x: next(
            layers.Concatenate(name="joined")(
                [conv(32, size, pad_values=0.0, **NO_OP)(signs) for size in (1, 3)]
            )
            for signs in [lq.quantizers.SteSign()(x)]
        ),
        "joined: its convolutions differ in more than their weights",
    ),
    "constant_after_relu": (
        "fuse_constant_adds",
        lambda x: layers.Activation("relu", name="last")(plus(layers.ReLU()(x))),
        "lambda: no bias or batch normalization before it takes its constant",
    ),
    "read_padding": (
        "trim_explicit_padding",
        lambda x: padded(x[:, :5, :5], layers.Conv2D(3, 3, strides=2, name="read")),
        "read: all of its padding is read",
    ),
    "cropped": (
        "fuse_dilated_conv",
        lambda x: layers.Lambda(cropped, name="cropped")(x),
        "cropped: its result is cropped at the start",
    ),
    "large_image": (
        "replace_zero_padding",
        lambda x: conv(pad_values=0.0, name="large")(x),
        "large: its image is at least as large as its kernel",
    ),
    "plain_pooling": (
        "hoist_global_pooling",
        lambda x: layers.GlobalAveragePooling2D(name="mean")(layers.ReLU()(x)),
        "mean: no product or sum with a constant precedes it",
    ),
    "slopes_below_zero": (
        "fuse_scale_through_prelu",
        lambda x: bnext(x, low=-1.0),
        "batch_normalization_1: its PReLU has a slope that is not positive where its "
        "scale is negative",
    ),
    "signs_that_no_convolution_takes": (
        "sink_sign",
        lambda x: layers.Reshape((-1,), name="flat")(lq.quantizers.SteSign()(x)),
        "flat: no convolution or dense layer follows",
    ),
    "real_kernel_after_negative_padding": (
        "replace_negative_padding",
        lambda x: conv(3, name="real", pad_values=-1.0, kernel_quantizer=None)(x),
        "real: its kernel is not +c and -c in each output channel",
    ),
}


def refusals(build, caplog):
    tf.keras.utils.set_random_seed(1)
    tf.keras.backend.clear_session()
    model = trained_looking(functional((6, 6, 32), build))
    with caplog.at_level(logging.DEBUG, "converters.rewrites"):
        done = rewrite(freeze(model))
    ours = [r for r in caplog.records if r.name.startswith("converters.rewrites")]
    return {entry.name for entry in done}, [r.getMessage() for r in ours]


@pytest.mark.parametrize("name", REFUSALS)
def test_the_log_names_layer_and_reason(name, caplog):
    kind, build, words = REFUSALS[name]
    done, messages = refusals(build, caplog)
    assert f"{kind}: {words}" in messages
    assert kind not in done


def test_the_logger_is_the_file_of_the_rewrite(caplog):
    refusals(REFUSALS["real_dense"][1], caplog)
    (record,) = (r for r in caplog.records if "its matrix" in r.getMessage())
    assert record.name == "converters.rewrites.dense_to_conv"
    assert record.levelno == logging.DEBUG


def test_nothing_is_said_of_what_is_rewritten(caplog):
    """Nor of layers that look like no pattern of a rewrite."""

    def build(x):
        return layers.ReLU()(lq.layers.QuantDense(8, **binary())(layers.Flatten()(x)))

    done, messages = refusals(build, caplog)
    assert "dense_to_conv" in done
    assert not [m for m in messages if m.startswith("dense_to_conv")]
