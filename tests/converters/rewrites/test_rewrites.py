"""Each rewrite keeps the function, and does what the plain conversion does not."""

import contextlib

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx
from converters import conversion
from converters.graph.freezing import freeze
from converters.rewrites import REWRITES, rewrite

layers = tf.keras.layers


def binary(**options):
    return {
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
        "use_bias": False,
        **options,
    }


def conv(filters=32, size=3, **options):
    options = {"padding": "same", "pad_values": 1.0, **options}
    return lq.layers.QuantConv2D(filters, size, **binary(**options))


def functional(shape, build):
    x = tf.keras.Input(shape)
    return tf.keras.Model(x, build(x))


def norm(x, **options):
    return layers.BatchNormalization(**options)(x)


def trained_looking(model):
    """Batch normalization as training leaves it, with scales of both signs."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization) and layer.name != "flat":
            n = layer.moving_mean.shape[0]
            layer.set_weights(
                [
                    generator.uniform(0.5, 2, n) * generator.choice([-1, 1], n),
                    generator.normal(size=n),
                    3 * generator.normal(size=n),
                    generator.uniform(1, 30, n),
                ]
            )
    return model


def flat_norm(x):
    """Batch normalization whose results are constant in two of three channels."""
    layer = layers.BatchNormalization(name="flat")
    y = layer(x)
    beta = np.random.default_rng(5).normal(size=x.shape[-1])
    beta[:3] = 0
    layer.set_weights([np.arange(len(beta)) % 3 == 1, beta, beta, beta * beta])
    return y


def faint_norm(x):
    """Batch normalization with scales that are almost zero in half of the channels."""
    layer = layers.BatchNormalization(name="flat")
    y = layer(x)
    ones = np.ones(x.shape[-1])
    layer.set_weights([np.where(np.arange(len(ones)) % 2, 1, 1e-36), ones, ones, ones])
    return y


def prelu(x, low=0.1, **options):
    slope = tf.keras.initializers.RandomUniform(low, 2.0, seed=7)
    return layers.PReLU(slope, shared_axes=(1, 2), **options)(x)


def excited(x, y):
    total = 0.75 * x + y * bias_of(32) - 1.0
    mean = layers.GlobalAveragePooling2D(keepdims=True)(total)
    return layers.Multiply()([layers.Conv2D(32, 1, activation="sigmoid")(mean), y])


def bnext(x, low=0.1):
    y = prelu(norm(conv()(x)), low)
    return layers.Add()([norm(layers.Multiply()([excited(x, y), x])), x])


def shuffled(x):
    return zx.layers.ChannelShuffle(2)(lq.quantizers.SteSign()(x))


def joined(x):
    one, two = lq.quantizers.SteSign()(norm(x)), lq.quantizers.SteSign()(norm(x))
    return conv(input_quantizer=lq.quantizers.NoOp(1))(layers.Concatenate()([one, two]))


def dense(x):
    x = lq.layers.QuantDense(64, **binary())(layers.Flatten()(x))
    return lq.layers.QuantDense(10, **binary(kernel_quantizer="magnitude_aware_sign"))(
        norm(x)
    )


def padded(x, layer, **options):
    return layer(layers.ZeroPadding2D(options.get("by", 1))(x))


def bias_of(channels):
    return np.random.default_rng(3).normal(size=channels).astype(np.float32)


def rprelu(x):
    layer = zx.layers.RPReLU()
    y = layer(x)
    generator = np.random.default_rng(4)
    layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    return y


def rsign(x):
    layer = zx.layers.RSign()
    y = layer(x)
    layer.set_weights([bias_of(w.shape) for w in layer.get_weights()])
    return y


def reactnet_blocks(x):
    for _ in range(2):
        y = norm(conv(pad_values=0.0, **NO_OP)(rsign(x)))
        x = rprelu(layers.Add()([y, x]))
    return x


def pooled(x):
    x = rprelu(x)
    short = layers.Concatenate()([x, layers.ReLU()(x)])
    short = layers.AveragePooling2D(2, padding="same")(short)
    y = norm(conv(64, strides=2, pad_values=0.0, **NO_OP)(rsign(x)))
    return layers.Add()([short, y])


def parallel_convs(x):
    x, signs = norm(x), lq.quantizers.SteSign()(x)
    parts = [norm(conv(32, 1, pad_values=0.0, **NO_OP)(signs)) for _ in range(2)]
    return layers.Concatenate()([layers.Add()([part, x]) for part in parts])


def convs_of_unequal_width(x):
    signs = lq.quantizers.SteSign()(x)
    options = {
        "use_bias": True,
        "bias_initializer": "normal",
        "pad_values": 0.0,
        **NO_OP,
    }
    return layers.Concatenate()([conv(n, **options)(signs) for n in (32, 64, 32)])


NO_OP = {"input_quantizer": lq.quantizers.NoOp(precision=1)}


def by_place(channels):
    return np.random.default_rng(3).uniform(1, 2, (3, 4, channels)).astype(np.float32)


# The rewrite, input, network, numbers of layers that are binary with and without it, or
# words of the error for a model that would be converted wrongly.
CASES = {
    "dense": ("dense_to_conv", (4, 4, 32), dense, 2, 0),
    "dense_of_a_vector": (
        "dense_to_conv",
        (48,),
        lambda x: norm(lq.layers.QuantDense(32, **binary())(norm(x))),
        1,
        0,
    ),
    "dense_of_a_sequence": (
        "dense_to_conv",
        (5, 64),
        lambda x: norm(lq.layers.QuantDense(32, **binary())(norm(x))),
        1,
        0,
    ),
    "conv_over_time": (
        "sink_sign",
        (16, 64),
        lambda x: norm(lq.layers.QuantConv1D(32, 3, **binary())(norm(x))),
        1,
        0,
    ),
    "padding_of_minus_one": (
        "replace_negative_padding",
        (8, 8, 64),
        lambda x: norm(conv(pad_values=-1.0)(norm(x))),
        1,
        0,
    ),
    "padding_of_minus_one_on_even_sums": (
        "replace_negative_padding",
        (8, 8, 64),
        lambda x: conv(pad_values=-1.0)(
            layers.BatchNormalization(
                epsilon=0.0, moving_mean_initializer=tf.constant_initializer(2.0)
            )(conv(1)(x))
        ),
        2,
        1,
    ),
    "padding_of_minus_one_stride_2": (
        "replace_negative_padding",
        (9, 9, 64),
        lambda x: norm(conv(pad_values=-1.0, strides=2)(norm(x))),
        1,
        0,
    ),
    "shuffle_after_the_sign": (
        "sink_sign",
        (8, 8, 64),
        lambda x: norm(conv(**NO_OP)(shuffled(norm(x)))),
        1,
        0,
    ),
    "signs_joined": ("sink_sign", (8, 8, 32), joined, 1, 0),
    "reshaped_signs": (
        "sink_sign",
        (8, 8, 64),
        lambda x: conv(**NO_OP)(
            layers.Reshape((4, 16, 64))(lq.quantizers.SteSign()(x))
        ),
        1,
        0,
    ),
    "stem_of_pytorch": (
        "trim_explicit_padding",
        (16, 16, 3),
        lambda x: conv()(padded(x, layers.Conv2D(32, 3, strides=2, use_bias=False))),
        1,
        "has strides after explicit padding",
    ),
    "stem_of_pytorch_7x7": (
        "trim_explicit_padding",
        (32, 32, 3),
        lambda x: conv()(padded(x, layers.Conv2D(32, 7, strides=2), by=3)),
        1,
        "has strides after explicit padding",
    ),
    "pooled_signs": (
        "sink_sign",
        (8, 8, 64),
        lambda x: norm(
            conv(**NO_OP)(layers.MaxPool2D(3, 2)(lq.quantizers.SteSign()(norm(x))))
        ),
        1,
        0,
    ),
    "dilated_padding_of_minus_one": (
        "fuse_dilated_conv",
        (8, 8, 64),
        lambda x: norm(conv(pad_values=-1.0, dilation_rate=(2, 3))(norm(x))),
        1,
        0,
    ),
    "sequence_padded_with_ones": (
        "pad_conv1d_as_conv2d",
        (9, 64),
        lambda x: norm(
            lq.layers.QuantConv1D(
                32, 3, padding="same", pad_values=1.0, strides=2, **binary()
            )(norm(x))
        ),
        1,
        0,
    ),
    "small_image": (
        "replace_zero_padding",
        (2, 5, 64),
        lambda x: norm(conv(pad_values=0.0)(norm(x))),
        1,
        "pads an image of 2x5 pixels with zeros",
    ),
    "image_of_one_pixel": (
        "replace_zero_padding",
        (1, 1, 33),
        lambda x: norm(conv(pad_values=0.0, groups=1)(norm(x))),
        1,
        "pads an image of 1x1 pixels with zeros",
    ),
    "small_image_dilation": (
        "replace_zero_padding",
        (4, 5, 64),
        lambda x: conv(pad_values=0.0, dilation_rate=2)(norm(x)),
        1,
        "pads an image of 4x5 pixels with zeros",
    ),
    "kernel_smaller_than_the_stride": (
        "crop_strided_input",
        (6, 7, 3),
        lambda x: conv()(layers.Conv2D(32, 2, strides=3, padding="same")(x)),
        1,
        "conv2d has padding='same' and strides that leave a part",
    ),
    "kernel_smaller_than_the_stride_both_ways": (
        "crop_strided_input",
        (6, 6, 3),
        lambda x: conv()(layers.DepthwiseConv2D(2, strides=3, padding="same")(x)),
        1,
        "depthwise_conv2d has padding='same' and strides that leave a part",
    ),
    "constants_by_place": (
        "broadcast_constants",
        (3, 4, 64),
        lambda x: by_place(1) * norm(conv()(norm(x))) - by_place(32),
        1,
        r"has a constant of the shape \(3, 4, 1\)",
    ),
    "constants_with_leading_ones": (
        "broadcast_constants",
        (3, 4, 64),
        lambda x: layers.Normalization(mean=[1.0] * 32, variance=[4.0] * 32)(
            conv()(norm(x))
        ),
        1,
        r"has a constant of the shape \(1, 1, 1, 32\)",
    ),
    "norm_before_signs": (
        "fuse_batchnorm_into_sign",
        (8, 8, 64),
        lambda x: norm(conv(pad_values=0.0)(norm(x))),
        1,
        1,
    ),
    "norm_after_a_pool": (
        "fuse_batchnorm_into_sign",
        (8, 8, 64),
        lambda x: norm(
            conv(padding="valid")(
                norm(layers.MaxPool2D(2)(conv(33, pad_values=0.0)(norm(x))))
            )
        ),
        2,
        2,
    ),
    "norm_with_a_scale_of_zero": (
        "fuse_batchnorm_into_sign",
        (8, 8, 64),
        lambda x: conv(pad_values=0.0)(flat_norm(x)),
        1,
        1,
    ),
    "biases_of_reactnet": ("fuse_constant_adds", (8, 8, 32), reactnet_blocks, 2, 2),
    "bias_after_a_pool_and_a_concatenation": (
        "fuse_constant_adds",
        (8, 8, 32),
        pooled,
        1,
        1,
    ),
    "bias_before_dense": (
        "fuse_constant_adds",
        (4, 4, 32),
        lambda x: layers.Dense(5, bias_initializer="normal")(
            layers.Flatten()(
                layers.AveragePooling2D(4)(rprelu(norm(conv(pad_values=0.0)(x))))
            )
        ),
        1,
        1,
    ),
    "bias_before_norm": (
        "fuse_constant_adds",
        (8, 8, 32),
        lambda x: norm(layers.ReLU()(norm(conv()(x))) + bias_of(32)),
        1,
        1,
    ),
    "scaled_signs": (
        "fuse_sign_scale",
        (8, 8, 64),
        lambda x: norm(conv(pad_values=0.0, **NO_OP)(0.3 * lq.quantizers.SteSign()(x))),
        1,
        0,
    ),
    "signs_almost_zero": (
        "fuse_sign_scale",
        (8, 8, 64),
        lambda x: norm(
            1e9 * conv(pad_values=0.0, **NO_OP)(1e-9 * lq.quantizers.SteSign()(x))
        ),
        1,
        0,
    ),
    "zeros_and_ones": (
        "fuse_sign_scale",
        (5, 6, 64),
        lambda x: norm(
            conv(pad_values=0.0, **NO_OP)((lq.quantizers.SteSign()(x) + 1) / 2)
        ),
        1,
        0,
    ),
    "zeros_and_ones_without_edge": (
        "fuse_sign_scale",
        (5, 6, 64),
        lambda x: norm(
            conv(padding="valid", groups=2, **NO_OP)(
                1 - (lq.quantizers.SteSign()(x) + 1) * -0.7
            )
        ),
        1,
        0,
    ),
    "parallel_convs": ("merge_parallel_convs", (8, 8, 32), parallel_convs, 1, 2),
    "parallel_convs_of_unequal_width": (
        "merge_parallel_convs",
        (8, 8, 64),
        convs_of_unequal_width,
        1,
        3,
    ),
    "scale_after_prelu": ("fuse_scale_through_prelu", (8, 8, 32), bnext, 1, 1),
    "norm_after_prelu": (
        "fuse_scale_through_prelu",
        (8, 8, 32),
        lambda x: norm(prelu(norm(conv()(x)))),
        1,
        1,
    ),
    "mean_of_an_affine_sum": (
        "hoist_global_pooling",
        (8, 8, 32),
        lambda x: excited(layers.ReLU()(x), norm(conv()(x))),
        1,
        1,
    ),
    "mean_of_a_sum": (
        "hoist_global_pooling",
        (8, 8, 32),
        lambda x: layers.GlobalAveragePooling2D()(
            2.0 * layers.Add()([layers.ReLU()(x), norm(conv()(x))]) - bias_of(32)
        ),
        1,
        1,
    ),
    "grouped_stem": (
        "split_grouped_convs",
        (16, 16, 32),
        lambda x: conv()(
            layers.ReLU()(
                norm(
                    layers.Conv2D(
                        64, 3, groups=4, padding="same", bias_initializer="normal"
                    )(x)
                )
            )
        ),
        1,
        1,
    ),
}


def case(name):
    kind, shape, build, with_it, without = CASES[name]
    tf.keras.utils.set_random_seed(1)
    model = trained_looking(functional(shape, build))
    images = np.random.default_rng(2).normal(size=(16, *shape)).astype(np.float32)
    # Zeros, where larq's sign is +1 and its negative is not.
    images[0, ..., :4] = 0
    return kind, model, images, with_it, without


@pytest.mark.parametrize("name", CASES)
def test_the_function_stays(name):
    kind, model, images, *_ = case(name)
    frozen = freeze(model)
    changed = frozen.copy()
    done = rewrite(changed, [*REWRITES])
    assert kind in [entry.name for entry in done]
    expected = model.predict(images, verbose=0)
    (tensor,) = frozen.inputs.values()
    (result,) = changed.run({tensor: images}, [*frozen.outputs.values()])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * scale)
    # Nothing is left to do.
    assert not rewrite(changed)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_converts_with_it(name):
    kind, model, images, with_it, _ = case(name)
    report = converters.convert(model, inputs=images).report
    assert not report.audit.stayed_float
    assert report.audit.operators["LceBconv2d"] == with_it
    assert report.verification.passed and not report.verification.untraced
    assert report.verification.output_difference < 1e-5
    assert kind in [entry.name for entry in report.rewrites]
    assert f"| {kind} |" in report.markdown()


def plus(x, channels=32, times=1):
    # As raw operations of one layer.
    return layers.Lambda(lambda t: sum([bias_of(channels)] * times, t))(x)


def one_channel(x):
    return norm(layers.Conv2D(1, 1)(x))


def explicit(x, kernel=None):
    kernel = np.where(bias_of((3, 3, 32, 32)) < 0, -1, 1) if kernel is None else kernel
    padding = [[0, 0], [1, 1], [1, 1], [0, 0]]
    return tf.nn.conv2d(x, kernel.astype(np.float32), 1, padding)


def after_dropout(x):
    parts = [layers.Add()([norm(conv()(x)), y]) for y in (x, layers.ReLU()(x))]
    joined = layers.Concatenate()(parts)
    return layers.Add()([joined, plus(layers.Dropout(0.1)(joined), 64)])


def called_twice(x):
    layer = conv(pad_values=0.0)
    return layers.Add()([layer(norm(x)), layer(norm(layers.ReLU()(x)))])


def convs_of_one_kernel(x):
    layer, signs = conv(32, 1, pad_values=0.0, **NO_OP), lq.quantizers.SteSign()(x)
    return layers.Concatenate()([norm(layer(signs)), norm(layer(signs))])


def joined_with_itself(x):
    y = norm(conv(32, 1, pad_values=0.0)(x))
    return layers.Concatenate()([y, y])


def doubled(x):
    p = norm(x)
    return plus(layers.Add()([p, p]))


# Graphs that a rewrite might change wrongly.
ODD = {
    "many_constants": lambda x: plus(layers.ReLU()(x), times=8),
    "many_constants_after_a_sum": lambda x: plus(
        layers.Add()([norm(conv()(x)), layers.ReLU()(x)]), times=5
    ),
    "a_sum_with_itself": doubled,
    "a_used_concatenation": after_dropout,
    "a_broadcast_norm": lambda x: plus(one_channel(x) + layers.ReLU()(x)),
    "a_broadcast_norm_and_a_sibling": lambda x: one_channel(x) + plus(layers.ReLU()(x)),
    "two_broadcast": lambda x: plus(one_channel(x) + layers.Conv2D(1, 1)(x)),
    "a_pool_of_channels": lambda x: plus(
        tf.nn.max_pool2d(plus(x), [1, 1, 1, 2], [1, 1, 1, 2], "SAME"), 16
    ),
    "explicit_padding_of_a_pool": lambda x: plus(
        tf.nn.max_pool2d(
            plus(x), 2, 2, [[0, 0], [1, 1], [1, 1], [0, 0]], data_format="NHWC"
        )
    ),
    "explicit_padding_after_norm": lambda x: explicit(lq.quantizers.SteSign()(norm(x))),
    "explicit_padding_of_scaled_signs": lambda x: explicit(
        0.3 * lq.quantizers.SteSign()(x)
    ),
    "a_layer_called_twice": called_twice,
    "slopes_below_zero": lambda x: bnext(x, low=-1.0),
    "a_scale_of_zero": lambda x: flat_norm(prelu(norm(conv()(x)))),
    "a_scale_of_almost_zero": lambda x: next(
        faint_norm(layers.Multiply()([0.5 * y, excited(x, y)]))
        for y in [prelu(norm(conv()(x)))]
    ),
    "a_prelu_used_otherwise": lambda x: next(
        norm(2.0 * y) + y for y in [prelu(norm(conv()(x)))]
    ),
    "a_prelu_of_a_used_norm": lambda x: next(
        norm(prelu(y)) + y for y in [norm(conv()(x))]
    ),
    "a_square": lambda x: next(
        norm(layers.Multiply()([y, y])) for y in [prelu(norm(conv()(x)))]
    ),
    "a_mean_over_rows": lambda x: tf.reduce_mean(2.0 * x, 1),
    "a_mean_over_channels": lambda x: tf.reduce_mean(2.0 * x, (1, 3)),
    "a_mean_of_a_used_image": lambda x: next(
        y + tf.reduce_mean(y, (1, 2), keepdims=True) for y in [2.0 * x]
    ),
    "a_mean_of_differences": lambda x: tf.reduce_mean(
        1.0 - (bias_of(32) * x - layers.ReLU()(x) * -bias_of(32)), (1, 2)
    ),
    "a_mean_of_a_broadcast_image": lambda x: tf.reduce_mean(
        2.0 * x + 3.0 * one_channel(x), (1, 2)
    ),
    "parallel_convs_of_one_kernel": convs_of_one_kernel,
    "a_concatenation_with_itself": joined_with_itself,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_graphs_keep_their_function(name):
    tf.keras.utils.set_random_seed(1)
    model = trained_looking(functional((6, 6, 32), ODD[name]))
    images = np.random.default_rng(2).normal(size=(4, 6, 6, 32)).astype(np.float32)
    frozen = freeze(model)
    changed = frozen.copy()
    done = rewrite(changed)
    expected = model(images).numpy()
    (tensor,) = frozen.inputs.values()
    (result,) = changed.run({tensor: images}, [*frozen.outputs.values()])
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())
    for entry in done:
        assert entry.after.constant_bytes <= 1.1 * entry.before.constant_bytes


def test_a_flipped_sign_of_zero_stays_plus_one():
    """After a rectifier zeros are frequent, and thresholds of zero are, too."""

    def build(x):
        x = layers.MaxPool2D(2)(layers.ReLU()(x))
        return conv(pad_values=0.0)(layers.BatchNormalization(name="flat")(x))

    model = functional((8, 8, 32), build)
    gamma, beta = np.resize([1, -1, -1], 32), np.resize([0, 0, 1], 32)
    model.get_layer("flat").set_weights([gamma, beta, beta, np.ones(32) - 1e-3])
    images = np.random.default_rng(2).normal(size=(8, 8, 8, 32)).astype(np.float32)
    images = np.where(images < 1, -1, 1).astype(np.float32)
    frozen = freeze(model)
    changed = frozen.copy()
    done = rewrite(changed)
    assert [entry.name for entry in done] == ["fuse_batchnorm_into_sign"]
    (tensor,) = frozen.inputs.values()
    (result,) = changed.run({tensor: images}, [*frozen.outputs.values()])
    np.testing.assert_array_equal(result, model(images).numpy())
    report = converters.convert(model, inputs=images).report
    assert sum(layer.flipped_near_zero for layer in report.verification.layers) == 0


REFUSED = [name for name in CASES if isinstance(CASES[name][-1], str)]


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_without_it(name):
    kind, model, _, _, words = case(name)
    others = [other for other in REWRITES if other != kind]
    with pytest.raises(converters.ConversionError, match=words) as refused:
        converters.convert(model, inputs=None, rewrites=others)
    assert f"'{kind}'" in str(refused.value)
    assert any(layer.name in str(refused.value) for layer in model.layers)


def test_explicit_padding_that_comes_out_right_is_not_refused():
    """Unread padding that Larq Compute Engine does not take for another one."""
    by = ((1, 2), (1, 2))
    model = functional(
        (15, 15, 3), lambda x: conv()(padded(x, layers.Conv2D(32, 3, strides=2), by=by))
    )
    images = np.random.default_rng(2).normal(size=(8, 15, 15, 3)).astype(np.float32)
    report = converters.convert(model, inputs=images, rewrites=None).report
    assert report.verification.passed
    assert converters.convert(model, inputs=None).report.rewrites


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_does_not_without_it(name, monkeypatch):
    kind, model, images, with_it, without = case(name)
    others = [other for other in REWRITES if other != kind]
    if isinstance(without, str):
        # It is refused because the file would be wrong.
        monkeypatch.setattr(conversion, "check_graph", lambda graph: None)
        with pytest.raises(converters.ConversionError, match=r"not compute|not load"):
            converters.convert(model, inputs=images, rewrites=others)
        return
    with pytest.warns(UserWarning) if without < with_it else contextlib.nullcontext():
        report = converters.convert(model, inputs=images, rewrites=others).report
    assert report.audit.operators.get("LceBconv2d", 0) == without
    if without == with_it and kind not in (
        "split_grouped_convs",
        "hoist_global_pooling",
    ):
        # It is as binary as before, but takes more operators.
        ours = converters.convert(model, inputs=images).report
        assert sum(ours.audit.operators.values()) < sum(report.audit.operators.values())
    assert kind not in [entry.name for entry in report.rewrites]
    assert report.verification.passed


def test_groups_are_split_with_what_follows():
    _, model, images, *_ = case("grouped_stem")
    plain = converters.convert(model, inputs=images, rewrites=None).report.audit
    split = converters.convert(model, inputs=images).report.audit
    assert plain.operators["CONV_2D"] == 1 and split.operators["CONV_2D"] == 4
    assert split.operators["SPLIT"] == split.operators["CONCATENATION"] == 1
    # Batch normalization and activation are in the convolutions.
    assert not {"MUL", "ADD", "RELU"} & split.operators.keys()


@pytest.mark.parametrize("pad_values", [1.0, -1.0, 0.0])
def test_binary_groups_stay_binary(pad_values):
    layer = conv(64, groups=2, pad_values=pad_values)
    model = trained_looking(functional((8, 8, 64), lambda x: norm(layer(x))))
    images = np.random.default_rng(2).normal(size=(8, 8, 8, 64)).astype(np.float32)
    report = converters.convert(model, inputs=images).report
    assert len(report.audit.converted) == 1 and report.verification.passed


def test_a_group_for_each_channel_is_a_depthwise_convolution():
    model = functional(
        (8, 8, 32),
        lambda x: conv()(layers.Conv2D(64, 3, groups=32, padding="same")(x)),
    )
    images = np.random.default_rng(2).normal(size=(8, 8, 8, 32)).astype(np.float32)
    report = converters.convert(model, inputs=images).report
    assert report.audit.operators["DEPTHWISE_CONV_2D"] == 1
    assert "CONV_2D" not in report.audit.operators and report.verification.passed


def test_padding_shared_by_two_strides_is_trimmed_for_one():
    def build(x):
        x = layers.ZeroPadding2D(1)(x)
        one = layers.Conv2D(32, 3, strides=2, name="two")(x)
        other = layers.Conv2D(32, 3, name="one")(x)
        return conv()(layers.Concatenate()([one, layers.MaxPool2D(2)(other)]))

    model = functional((16, 16, 3), build)
    done = rewrite(freeze(model))
    assert done[0].name == "trim_explicit_padding" and done[0].changed == ("two",)
    images = np.random.default_rng(2).normal(size=(8, 16, 16, 3)).astype(np.float32)
    assert converters.convert(model, inputs=images).report.verification.passed


def test_padding_that_is_read_is_not_trimmed():
    model = functional(
        (15, 15, 3), lambda x: conv()(padded(x, layers.Conv2D(32, 3, strides=2)))
    )
    assert not rewrite(freeze(model))
    images = np.random.default_rng(2).normal(size=(8, 15, 15, 3)).astype(np.float32)
    assert converters.convert(model, inputs=images).report.verification.passed


def test_the_model_and_its_graph_stay_as_they_are():
    _, model, images, *_ = case("dense")
    weights, frozen = model.get_weights(), freeze(model)
    before = frozen.graph_def.SerializeToString(deterministic=True)
    rewrite(frozen.copy())
    converters.convert(model, inputs=images)
    assert frozen.graph_def.SerializeToString(deterministic=True) == before
    for ours, theirs in zip(model.get_weights(), weights):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_is_verified_whether_it_was_rewritten_or_not():
    _, model, images, *_ = case("grouped_stem")
    for rewrites in (None, tuple(REWRITES)):
        content = converters.convert(model, inputs=None, rewrites=rewrites).content
        result = converters.verify(model, content, images)
        assert result.passed and not result.untraced


def test_a_plain_file_is_verified_where_a_rewrite_would_flip_few_channels():
    def build(x):
        return conv(pad_values=0.0)(norm(x, name="norm"))

    model = functional((8, 8, 256), build)
    layer = model.get_layer("norm")
    gamma, *others = layer.get_weights()
    gamma[17] = -1
    layer.set_weights([gamma, *others])
    images = np.random.default_rng(2).normal(size=(8, 8, 8, 256)).astype(np.float32)
    for rewrites in (None, ["fuse_batchnorm_into_sign"]):
        content = converters.convert(model, inputs=images, rewrites=rewrites).content
        assert converters.verify(model, content, images).passed


def test_unknown_rewrites_are_named():
    _, model, *_ = case("dense_of_a_vector")
    with pytest.raises(
        ValueError, match=r"No rewrite .dense.\. There are: fold_into_lookup"
    ):
        converters.convert(model, inputs=None, rewrites=["dense"])
