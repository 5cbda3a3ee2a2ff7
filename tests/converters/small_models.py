"""Small models, each with one habit of the converter, and what must come of it.

`test_table.py` converts them; a test of a runtime can run the files. Each row says what
Larq Compute Engine makes of a pattern with all rewrites.
"""

import dataclasses
from collections.abc import Callable, Mapping

import larq as lq
import numpy as np
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import datasets, optimizers

layers = tf.keras.layers


@dataclasses.dataclass(frozen=True)
class Row:
    """One model and what is expected of its conversion.

    Attributes:
        build: Takes the symbolic inputs, returns the outputs.
        shape: Shape of the input without the batch, or one for each name.
        binary: Number of `LceBconv2d`.
        operators: Number of other operators; 0 for those that must not be there.
        stays_float: Words of the reason for each layer that stays float.
        refused: Words of the refusal, or `None`.
        untraced: Layers whose signs the file does not hold as bits.
        change: What to do to the model before its conversion, or `None`.
        clothes: Whether the inputs are images of Fashion-MNIST.
    """

    build: Callable
    shape: tuple[int, ...] | Mapping[str, tuple[int, ...]] = (8, 8, 64)
    binary: int = 1
    operators: Mapping[str, int] = dataclasses.field(default_factory=dict)
    stays_float: Mapping[str, str] = dataclasses.field(default_factory=dict)
    refused: str | None = None
    untraced: tuple[str, ...] = ()
    change: Callable | None = None
    clothes: bool = False

    def model(self):
        """Returns the model, its weights as training may leave them."""
        tf.keras.utils.set_random_seed(1)
        several = isinstance(self.shape, Mapping)
        shapes = self.shape if several else {"image": self.shape}
        inputs = {n: tf.keras.Input(shape, name=n) for n, shape in shapes.items()}
        given = list(inputs.values())
        model = tf.keras.Model(given if several else given[0], self.build(*given))
        train(model)
        return model if self.change is None else self.change(model) or model

    def inputs(self, samples=6):
        """Returns inputs by name; some are zero, where a sign and its negative part."""
        if self.clothes:
            images, _ = datasets.load("fashion_mnist_mini").test_arrays()
            return {"image": images[-samples:]}
        several = isinstance(self.shape, Mapping)
        shapes = self.shape if several else {"image": self.shape}
        generator = np.random.default_rng(2)
        arrays = {}
        for name, shape in shapes.items():
            array = generator.normal(size=(samples, *shape)).astype(np.float32)
            array[0].reshape(-1)[::7] = 0
            arrays[name] = array
        return arrays


def train(model, seed=0):
    """Gives every variable but the kernels values as training leaves them.

    No two factors of a layer are equal, and those of batch normalization have both
    signs.
    """
    generator = np.random.default_rng(seed)
    for layer in dict.fromkeys(model.submodules):
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign(2 * generator.normal(size=layer.moving_mean.shape))
            layer.moving_variance.assign(
                generator.uniform(1, 30, layer.moving_variance.shape)
            )
            if layer.gamma is not None:
                size = generator.uniform(0.5, 2, layer.gamma.shape)
                layer.gamma.assign(size * generator.choice([-1, 1], layer.gamma.shape))
            if layer.beta is not None:
                layer.beta.assign(generator.normal(size=layer.beta.shape))
        elif isinstance(layer, layers.PReLU):
            layer.alpha.assign(generator.uniform(-0.2, 0.6, layer.alpha.shape))
        for name in ("bias", "shift_in", "shift_out"):
            weight = getattr(layer, name, None)
            if isinstance(weight, tf.Variable):
                weight.assign(0.5 * generator.normal(size=weight.shape))


def no_op():
    return lq.quantizers.NoOp(precision=1)


def free(scale=1.0, **options):
    """Arguments for a kernel without latent weights."""

    def start(shape, dtype=None):
        return scale * zx.initializers.BernoulliSign(seed=1)(shape, dtype=dtype)

    return {"kernel_quantizer": no_op(), "kernel_initializer": start, **options}


def options_of(options):
    return {
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
        "use_bias": False,
        **options,
    }


def conv(filters=32, size=3, **options):
    """A binary convolution that Larq Compute Engine knows, unless an option differs."""
    options = {"padding": "same", "pad_values": 1.0, **options_of(options)}
    return lq.layers.QuantConv2D(filters, size, **options)


def dense(units=32, **options):
    return lq.layers.QuantDense(units, **options_of(options))


def norm(x, **options):
    return layers.BatchNormalization(**options)(x)


def sign(x):
    return lq.quantizers.SteSign()(x)


def alone(**options):
    """One binary convolution between batch norms."""
    return lambda x: norm(conv(name="binary", **options)(norm(x)))


def one(layer):
    return lambda x: norm(layer(x))


def per_channel(shape, dtype=None):
    kernel = free()["kernel_initializer"](shape, dtype)
    return kernel * np.linspace(0.01, 3, shape[-1], dtype=np.float32)


def weight(value):
    """Sets one weight of a kernel of -1 and +1."""

    def change(model):
        kernel = model.get_layer("binary").kernel
        values = kernel.numpy()
        values[0, 0, 0, 0] = value
        kernel.assign(values)

    return change


def chain(*between, pad_values=1.0, padding="same"):
    """Two binary convolutions with something between."""

    def build(x):
        options = {"pad_values": pad_values, "padding": padding}
        x = conv(name="first", **options)(x)
        for layer in between:
            x = layer()(x)
        return norm(conv(name="second", **options)(x))

    return build


BN, POOL, RELU = layers.BatchNormalization, layers.MaxPool2D, layers.ReLU


def padded(by, value=0.0):
    """Explicit padding, with another value than zero too."""
    if value == 0:
        return layers.ZeroPadding2D(by)
    (top, bottom), (left, right) = by
    amounts = ((0, 0), (top, bottom), (left, right), (0, 0))
    return lambda x: tf.pad(x, amounts, constant_values=value)


EVEN = ((1, 1), (1, 1))


def react_block(x):
    y = zx.layers.RSign()(x)
    y = norm(conv(64, pad_values=0.0, input_quantizer=no_op(), name="binary")(y))
    return zx.layers.RPReLU()(layers.Add()([x, y]))


def residual(x):
    y = norm(conv(64, pad_values=0.0, name="first")(x))
    x = layers.Add()([x, y])
    y = norm(conv(64, pad_values=0.0, name="second")(x))
    return layers.Add()([x, y])


def join_signs(x):
    joined = layers.Concatenate()([sign(norm(x)), sign(norm(x))])
    return conv(input_quantizer=no_op(), name="binary")(joined)


def twins(x):
    x = norm(x)
    return layers.Concatenate()(
        [norm(conv(name="first")(x)), norm(conv(name="second")(x))]
    )


def shared(x):
    layer = conv(64, name="binary")
    return norm(layer(norm(layer(x))))


def nested(x):
    inner = tf.keras.Input((8, 8, 64))
    block = tf.keras.Model(inner, norm(conv(64, name="inner")(inner)), name="block")
    return norm(conv(name="outer")(block(x)))


def audio(x):
    for name in ("first", "second"):
        x = norm(dense(64, name=name)(x))
    return layers.Dense(10)(x)


def image_classifier(x):
    x = conv(name="first", pad_values=0.0)(layers.Conv2D(32, 3, use_bias=False)(x))
    x = norm(layers.ReLU()(x))
    x = norm(conv(name="second", strides=2)(x))
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


def two_sides(second, first):
    x, y = conv(name="one")(second), conv(name="two")(first)
    return [layers.Flatten(name="sum")(x + 2 * y), conv(name="three")(norm(x))]


def by_time(build, **options):
    return Row(build, shape=(6, 64), **options)


NOT_BINARY_INPUTS = {"binary": "its inputs are not binary"}
FLOAT_KERNEL = {"binary": r"its kernel is not binary \(None\)"}


def no_operator(kind):
    return {"binary": f"no binary operator for {kind}"}


SEPARABLE = {
    "depthwise_quantizer": "ste_sign",
    "input_quantizer": "ste_sign",
    "name": "binary",
}

QUANTIZERS = {
    # Inputs and kernels.
    "ste_sign": Row(alone()),
    "approx_sign_of_inputs": Row(alone(input_quantizer="approx_sign")),
    "swish_sign_of_inputs": Row(alone(input_quantizer="swish_sign")),
    "approx_sign_of_kernel": Row(alone(kernel_quantizer="approx_sign")),
    "swish_sign_of_kernel": Row(alone(kernel_quantizer="swish_sign")),
    "magnitude_aware_kernel": Row(alone(kernel_quantizer="magnitude_aware_sign")),
    "magnitude_aware_kernel_without_padding": Row(
        alone(kernel_quantizer="magnitude_aware_sign", padding="valid")
    ),
    "magnitude_aware_kernel_zero_padding": Row(
        alone(kernel_quantizer="magnitude_aware_sign", pad_values=0.0)
    ),
    "magnitude_aware_inputs": Row(
        alone(input_quantizer="magnitude_aware_sign"),
        refused="binary has the input_quantizer MagnitudeAwareSign",
    ),
    "ste_tern_inputs": Row(
        alone(input_quantizer="ste_tern"),
        refused="binary has the input_quantizer SteTern",
    ),
    "ste_tern_layer": Row(
        lambda x: norm(
            conv(input_quantizer=no_op())(lq.quantizers.SteTern(name="t")(x))
        ),
        refused="t computes the sign of a sum with a sign, as SteTern does",
    ),
    "magnitude_aware_layer": Row(
        lambda x: norm(conv()(lq.quantizers.MagnitudeAwareSign(name="scaled")(x))),
        refused="scaled is MagnitudeAwareSign",
    ),
    "ste_tern_kernel": Row(
        alone(kernel_quantizer="ste_tern"),
        binary=0,
        stays_float={"binary": r"its kernel is not binary \(SteTern\)"},
    ),
    "heaviside_kernel": Row(
        alone(kernel_quantizer="ste_heaviside"),
        binary=0,
        stays_float={"binary": r"SteHeaviside.* of its kernel are not"},
    ),
    "heaviside_inputs": Row(
        alone(input_quantizer="ste_heaviside"), binary=0, stays_float=NOT_BINARY_INPUTS
    ),
    "dorefa_inputs": Row(
        alone(input_quantizer="dorefa_quantizer"),
        binary=0,
        stays_float=NOT_BINARY_INPUTS,
    ),
    "dorefa_kernel": Row(
        alone(kernel_quantizer=lq.quantizers.DoReFa(2, mode="weights")),
        binary=0,
        stays_float={"binary": r"its kernel is not binary \(DoReFa\)"},
    ),
    "no_quantizer_of_inputs": Row(
        alone(input_quantizer=None), binary=0, stays_float=NOT_BINARY_INPUTS
    ),
    "no_op_of_inputs": Row(
        alone(input_quantizer=no_op()), binary=0, stays_float=NOT_BINARY_INPUTS
    ),
    "no_quantizer_of_kernel": Row(
        alone(kernel_quantizer=None),
        binary=0,
        stays_float={"binary": r"its kernel is not binary \(None\)"},
    ),
    "sign_of_its_own": Row(
        lambda x: norm(conv(name="binary", **free(input_quantizer=no_op()))(sign(x)))
    ),
    "approximate_sign_of_its_own": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=None)(lq.quantizers.ApproxSign()(x))
        )
    ),
    "sign_as_activation": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=None)(
                layers.Activation(lq.quantizers.ste_sign)(norm(x))
            )
        )
    ),
    "sign_as_activation_of_a_layer": Row(
        lambda x: norm(
            conv(name="second", input_quantizer=None)(
                conv(name="first", activation=lq.quantizers.ste_sign)(x)
            )
        ),
        binary=2,
    ),
}

KERNELS = {
    "free_kernel": Row(alone(**free())),
    "free_kernel_zero_padding": Row(alone(**free(pad_values=0.0))),
    "free_kernel_of_thousandths": Row(alone(**free(1e-3))),
    "free_kernel_scaled_by_channel": Row(
        alone(kernel_quantizer=no_op(), kernel_initializer=per_channel)
    ),
    "free_kernels_in_a_chain": Row(
        lambda x: norm(
            conv(name="second", **free())(norm(conv(name="first", **free())(x)))
        ),
        binary=2,
        operators={"LceQuantize": 1},
    ),
    "one_weight_of_97_hundredths": Row(
        alone(**free()),
        binary=0,
        stays_float={"binary": "1 weights of its kernel are not"},
        change=weight(0.97),
    ),
    "one_weight_of_zero": Row(
        alone(**free()),
        binary=0,
        stays_float={"binary": "1 weights of its kernel are not"},
        change=weight(0.0),
    ),
    "one_weight_of_996_thousandths": Row(
        alone(**free()),
        refused=r"binary has 1 weights that are not .* so nearly \(to 4.0e-03\)",
        change=weight(0.996),
    ),
    "latent_weight_of_zero": Row(alone(), change=weight(0.0)),
    "temperature_sign": Row(
        alone(kernel_quantizer=zx.TemperatureSign()),
        change=zx.force_sign,
    ),
    "soft_temperature_sign": Row(
        alone(kernel_quantizer=zx.TemperatureSign()),
        binary=0,
        stays_float={"binary": "values of TemperatureSign of its kernel are not"},
    ),
}

SHAPES = {
    "without_padding": Row(alone(padding="valid")),
    "zero_padding": Row(alone(pad_values=0.0)),
    "minus_padding": Row(alone(pad_values=-1.0)),
    "stride_2": Row(alone(strides=2)),
    "stride_2_zero_padding": Row(alone(strides=2, pad_values=0.0)),
    "stride_2_minus_padding": Row(alone(strides=2, pad_values=-1.0)),
    "stride_2_without_padding": Row(alone(strides=2, padding="valid")),
    "stride_2_odd_image": Row(alone(strides=2, pad_values=0.0), shape=(7, 9, 64)),
    "stride_3_of_one_axis": Row(alone(strides=(3, 1)), shape=(7, 8, 64)),
    "dilation": Row(alone(dilation_rate=2)),
    "dilation_zero_padding": Row(alone(dilation_rate=2, pad_values=0.0)),
    "dilation_minus_padding": Row(alone(dilation_rate=2, pad_values=-1.0)),
    "dilation_without_padding": Row(alone(dilation_rate=2, padding="valid")),
    "odd_channels": Row(alone(filters=31), shape=(8, 8, 33)),
    "odd_channels_zero_padding": Row(
        alone(filters=31, pad_values=0.0), shape=(8, 8, 33)
    ),
    "odd_channels_in_a_chain": Row(
        chain(BN, lambda: conv(17, pad_values=0.0, name="inner"), BN),
        shape=(6, 6, 5),
        binary=3,
    ),
    "one_channel": Row(alone(filters=1, pad_values=0.0), shape=(8, 8, 1)),
    "pointwise": Row(alone(size=1, padding="valid")),
    "kernel_5": Row(alone(size=5, pad_values=0.0)),
    "even_kernel": Row(alone(size=2, pad_values=0.0)),
    "oblong_kernel": Row(alone(size=(1, 5), pad_values=0.0)),
    "bias": Row(lambda x: conv(name="binary", use_bias=True)(x)),
    "relu_of_the_layer": Row(lambda x: norm(conv(name="binary", activation="relu")(x))),
    "two_groups": Row(alone(groups=2)),
    "two_groups_zero_padding": Row(alone(groups=2, pad_values=0.0)),
    "groups_of_16": Row(
        alone(groups=4), binary=0, stays_float={"binary": "groups have 16 channels"}
    ),
    "groups_of_16_minus_padding": Row(
        alone(groups=4, pad_values=-1.0),
        binary=0,
        stays_float={"binary": "groups have 16 channels|pads with -1"},
    ),
    # Larq Compute Engine takes the zeros around images that are smaller than the
    # kernel for other numbers.
    **{
        f"image_{height}x{width}_kernel_{size}_stride_{strides}": Row(
            alone(size=size, pad_values=0.0, strides=strides),
            shape=(height, width, 64),
        )
        for height, width, size, strides in (
            (1, 1, 3, 1),
            (2, 2, 3, 1),
            (2, 2, 3, 2),
            (3, 3, 3, 1),
            (2, 8, 3, 1),
            (4, 4, 5, 2),
            (1, 1, 2, 1),
        )
    },
    "image_4x4_dilation_2_zero_padding": Row(
        alone(dilation_rate=2, pad_values=0.0), shape=(4, 4, 64)
    ),
    "image_2x2_groups_dilation": Row(
        alone(groups=2, pad_values=0.0, dilation_rate=2), shape=(2, 2, 64)
    ),
    "minus_padding_groups_dilation": Row(
        alone(groups=2, pad_values=-1.0, dilation_rate=2)
    ),
    "image_1x1_one_padding": Row(alone(), shape=(1, 1, 64)),
    "image_2x2_minus_padding": Row(alone(pad_values=-1.0), shape=(2, 2, 64)),
    "image_2x2_groups": Row(alone(groups=2, pad_values=0.0), shape=(2, 2, 64)),
    "image_2x2_odd_channels": Row(alone(pad_values=0.0), shape=(2, 2, 33)),
}

KINDS = {
    "dense": Row(lambda x: norm(dense(name="binary")(norm(x))), shape=(64,)),
    "free_dense": Row(
        lambda x: norm(dense(name="binary", **free())(norm(x))), shape=(33,)
    ),
    "dense_with_bias": Row(
        lambda x: dense(name="binary", use_bias=True)(norm(x)), shape=(64,)
    ),
    "dense_of_an_image": Row(
        lambda x: norm(dense(name="binary")(layers.Flatten()(norm(x)))),
        shape=(4, 4, 32),
    ),
    "dense_chain": Row(
        audio, shape=(64,), binary=2, operators={"LceQuantize": 1, "FULLY_CONNECTED": 1}
    ),
    "dense_of_float_inputs": Row(
        lambda x: norm(dense(name="binary", input_quantizer=None)(x)),
        shape=(64,),
        binary=0,
        stays_float={"binary": r"its inputs are not binary \(input_quantizer is None"},
    ),
    "dense_of_a_sequence": by_time(lambda x: norm(dense(name="binary")(norm(x)))),
    "float_dense_of_signs_in_a_sequence": Row(
        lambda x: norm(dense(name="binary", kernel_quantizer=None)(x)),
        shape=(3, 31),
        binary=0,
        stays_float=FLOAT_KERNEL,
    ),
    "dense_of_an_images_channels": Row(
        lambda x: norm(dense(name="binary")(norm(x))), shape=(3, 4, 64)
    ),
    "conv1d": by_time(
        lambda x: norm(lq.layers.QuantConv1D(32, 3, **options_of({}))(norm(x)))
    ),
    "conv1d_zero_padding": by_time(
        lambda x: norm(
            lq.layers.QuantConv1D(32, 3, padding="same", **options_of({}))(norm(x))
        )
    ),
    "conv1d_one_padding": by_time(
        lambda x: norm(
            lq.layers.QuantConv1D(
                32, 3, padding="same", pad_values=1.0, strides=2, **options_of({})
            )(norm(x))
        )
    ),
    "conv1d_of_a_size_that_the_graph_does_not_know": Row(
        lambda x: norm(
            lq.layers.QuantConv1D(32, 5, padding="same", **options_of({}))(
                norm(dense(name="binary", kernel_quantizer=None)(x))
            )
        ),
        shape=(4, 33),
        stays_float=FLOAT_KERNEL,
    ),
    "conv1d_causal": by_time(
        lambda x: norm(
            lq.layers.QuantConv1D(
                32, 3, padding="causal", name="binary", **options_of({})
            )(norm(x))
        ),
        binary=0,
        stays_float={"binary": "its causal padding puts zeros among the signs"},
    ),
    "depthwise": Row(
        one(lq.layers.QuantDepthwiseConv2D(3, **SEPARABLE)),
        binary=0,
        stays_float=no_operator("QuantDepthwiseConv2D"),
    ),
    "separable": Row(
        one(
            lq.layers.QuantSeparableConv2D(
                32, 3, pointwise_quantizer="ste_sign", **SEPARABLE
            )
        ),
        binary=0,
        stays_float=no_operator("QuantSeparableConv2D"),
    ),
    "separable_over_time": by_time(
        one(
            lq.layers.QuantSeparableConv1D(
                32, 3, pointwise_quantizer="ste_sign", **SEPARABLE
            )
        ),
        binary=0,
        stays_float=no_operator("QuantSeparableConv1D"),
    ),
    "conv3d": Row(
        one(lq.layers.QuantConv3D(8, 2, name="binary", **options_of({}))),
        shape=(3, 4, 4, 32),
        binary=0,
        stays_float=no_operator("QuantConv3D"),
    ),
    "transposed": Row(
        one(
            lq.layers.QuantConv2DTranspose(
                32, 3, strides=2, name="binary", **options_of({})
            )
        ),
        shape=(4, 4, 32),
        binary=0,
        stays_float=no_operator("QuantConv2DTranspose"),
    ),
    "locally_connected": Row(
        one(lq.layers.QuantLocallyConnected2D(8, 3, name="binary", **options_of({}))),
        shape=(4, 4, 32),
        binary=0,
        stays_float=no_operator("QuantLocallyConnected2D"),
    ),
    "locally_connected_over_time": by_time(
        one(lq.layers.QuantLocallyConnected1D(8, 3, name="binary", **options_of({}))),
        binary=0,
        stays_float=no_operator("QuantLocallyConnected1D"),
    ),
}

AROUND = {
    # Batch normalization, activations and pools between binary layers.
    "norm_between_one_padding": Row(
        chain(BN), binary=2, operators={"LceQuantize": 1, "MUL": 0, "ADD": 0}
    ),
    "norm_between_zero_padding": Row(
        chain(BN, pad_values=0.0), binary=2, operators={"LceQuantize": 2}
    ),
    "norm_between_without_padding": Row(
        chain(BN, padding="valid"), binary=2, operators={"LceQuantize": 1}
    ),
    "norm_between_minus_padding": Row(chain(BN, pad_values=-1.0), binary=2),
    "nothing_between": Row(chain(), binary=2, operators={"LceQuantize": 1}),
    "pool": Row(chain(POOL), binary=2, operators={"LceBMaxPool2d": 1}),
    "pool_then_norm": Row(chain(POOL, BN), binary=2, operators={"MAX_POOL_2D": 1}),
    "norm_then_pool": Row(chain(BN, POOL), binary=2, operators={"LceBMaxPool2d": 1}),
    "pool_zero_padding": Row(chain(POOL, pad_values=0.0), binary=2),
    "overlapping_pool": Row(
        chain(BN, lambda: layers.MaxPool2D(3, 2, padding="same")),
        binary=2,
        operators={"LceBMaxPool2d": 1},
    ),
    "pool_of_signs": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=no_op())(POOL()(sign(norm(x))))
        ),
        operators={"LceBMaxPool2d": 1},
    ),
    "average_pool_of_signs": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=no_op())(
                layers.AveragePooling2D()(sign(x))
            )
        ),
        binary=0,
        stays_float=NOT_BINARY_INPUTS,
    ),
    "average_pool_before_the_sign": Row(chain(BN, layers.AveragePooling2D), binary=2),
    "norm_then_relu_one_padding": Row(
        chain(BN, RELU, BN), binary=2, operators={"RELU": 1}
    ),
    "norm_then_relu_zero_padding": Row(
        chain(BN, RELU, BN, pad_values=0.0), binary=2, operators={"RELU": 1}
    ),
    "relu_then_norm_one_padding": Row(
        chain(RELU, BN), binary=2, operators={"RELU": 0, "MUL": 0, "ADD": 0}
    ),
    "relu_then_norm_zero_padding": Row(
        chain(RELU, BN, pad_values=0.0), binary=2, operators={"RELU": 1}
    ),
    "relu6": Row(chain(lambda: layers.ReLU(6.0), BN), binary=2),
    "leaky_relu": Row(chain(layers.LeakyReLU, BN), binary=2),
    "prelu": Row(
        chain(BN, lambda: layers.PReLU(shared_axes=[1, 2]), BN),
        binary=2,
        operators={"PRELU": 1},
    ),
    "elu": Row(chain(BN, layers.ELU, BN), binary=2),
    "hard_tanh": Row(chain(BN, zx.layers.HardTanh), binary=2),
    "shift_before_the_sign": Row(
        lambda x: norm(conv(name="binary")(zx.layers.Shift()(norm(x))))
    ),
    "rsign": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=no_op())(zx.layers.RSign()(x))
        ),
        operators={"LceDequantize": 0},
    ),
    "rprelu": Row(
        lambda x: zx.layers.RPReLU()(norm(conv(name="binary")(x))),
        operators={"PRELU": 1},
    ),
    "reactnet_block": Row(react_block, operators={"PRELU": 1, "LceDequantize": 0}),
    "residual_sums": Row(residual, binary=2, operators={"MUL": 0, "ADD": 2}),
    "norm_behind_the_sum": Row(
        lambda x: norm(layers.Add()([x, conv(64, name="binary")(x)]))
    ),
    "channel_scale": Row(
        lambda x: zx.layers.ChannelScale()(conv(name="binary")(x)),
        operators={"MUL": 0},
    ),
    "factor_behind_the_convolution": Row(
        lambda x: layers.Rescaling(0.3)(conv(name="binary")(x)), operators={"MUL": 0}
    ),
    "factor_before_the_convolution": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=no_op(), pad_values=0.0)(
                layers.Rescaling(0.3)(sign(x))
            )
        ),
    ),
    # It pads with 1, which is no sign on the scale of its inputs.
    "factor_before_a_padding_with_ones": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=no_op(), pad_values=1.0)(
                layers.Rescaling(0.3)(sign(x))
            )
        ),
        binary=0,
        stays_float=NOT_BINARY_INPUTS,
    ),
    "signs_as_zero_and_one": Row(
        lambda x: norm(
            conv(name="binary", padding="valid", input_quantizer=no_op())(
                layers.Rescaling(0.3 / 2, 0.3 / 2)(sign(x))
            )
        ),
    ),
    "constant_by_place": Row(
        lambda x: layers.PReLU(shared_axes=[1, 2])(
            norm(conv(32, name="binary")(x))
            + np.arange(64 * 32, dtype=np.float32).reshape(8, 8, 32) / 99
        )
    ),
    "normalization": Row(
        lambda x: layers.Normalization(mean=[1.0] * 32, variance=[4.0] * 32)(
            conv(name="binary")(norm(x))
        ),
        operators={"SUB": 0, "DIV": 0},
    ),
    # What moves values, on both sides of the sign.
    "sign_of_joined": Row(
        lambda x: norm(conv(name="binary")(layers.Concatenate()([norm(x), x])))
    ),
    "joined_signs": Row(join_signs),
    "sign_of_shuffled": Row(
        lambda x: norm(conv(name="binary")(zx.layers.ChannelShuffle(2)(norm(x))))
    ),
    "shuffled_signs": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=no_op())(
                zx.layers.ChannelShuffle(2)(sign(norm(x)))
            )
        )
    ),
    "sign_of_reshaped": Row(
        lambda x: norm(conv(name="binary")(layers.Reshape((4, 16, 64))(x)))
    ),
    "reshaped_signs": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=no_op())(
                layers.Reshape((4, 16, 64))(sign(x))
            )
        )
    ),
    "cropped_signs": Row(
        lambda x: norm(
            conv(name="binary", input_quantizer=no_op())(
                layers.Cropping2D(1)(sign(norm(x)))
            )
        )
    ),
    "sliced_before_the_sign": Row(
        lambda x: norm(conv(name="binary")(norm(x)[:, :, :, :32]))
    ),
    "pad_shortcut": Row(
        lambda x: norm(conv(name="binary")(zx.layers.PadShortcut(96)(x)))
    ),
    # Explicit padding, which Larq Compute Engine takes for that of TensorFlow.
    "zeros_around_values": Row(
        lambda x: norm(conv(name="binary", padding="valid")(padded(1)(norm(x))))
    ),
    "ones_around_values": Row(
        lambda x: norm(conv(name="binary", padding="valid")(padded(EVEN, 1.5)(norm(x))))
    ),
    "zeros_around_values_stride_2": Row(
        lambda x: norm(
            conv(name="binary", padding="valid", strides=2)(padded(1)(norm(x)))
        )
    ),
    "signs_of_groups": Row(
        lambda x: lq.quantizers.SteSign()(conv(16, groups=2, name="binary")(x)),
        shape=(4, 4, 16),
        binary=0,
        stays_float={"binary": "groups have 8 channels"},
    ),
    "signs_of_exact_zeros": Row(
        # Sums of 0.01 and -0.01 are zero but for rounding, and without an offset.
        lambda x: lq.quantizers.SteSign()(
            conv(name="binary", pad_values=0.0, **free(0.01))(x)
        ),
        shape=(1, 2, 33),
    ),
    "sign_of_a_rectified_sign": Row(
        # The second one is +1 everywhere, its values are 0 and 1.
        lambda x: norm(conv(name="binary")(layers.ReLU()(sign(norm(x))))),
    ),
    "zeros_around_signs": Row(
        lambda x: norm(
            conv(name="binary", padding="valid", input_quantizer=no_op())(
                padded(1)(sign(x))
            )
        ),
        binary=0,
        stays_float=NOT_BINARY_INPUTS,
    ),
    "zeros_around_signs_stride_2": Row(
        lambda x: norm(
            conv(name="binary", padding="valid", strides=2, input_quantizer=no_op())(
                padded(1)(sign(x))
            )
        ),
        binary=0,
        stays_float=NOT_BINARY_INPUTS,
    ),
    "ones_around_signs": Row(
        lambda x: norm(
            conv(name="binary", padding="valid", input_quantizer=no_op())(
                padded(EVEN, 1.0)(sign(x))
            )
        )
    ),
    "ones_around_signs_stride_2": Row(
        lambda x: norm(
            conv(name="binary", padding="valid", strides=2, input_quantizer=no_op())(
                padded(EVEN, 1.0)(sign(x))
            )
        ),
        binary=0,
        stays_float=NOT_BINARY_INPUTS,
    ),
    "stem_of_pytorch": Row(
        lambda x: norm(
            conv(name="binary")(layers.Conv2D(32, 3, strides=2)(padded(1)(x)))
        ),
        shape=(16, 16, 3),
    ),
    "stem_of_pytorch_7x7": Row(
        lambda x: norm(
            conv(name="binary")(layers.Conv2D(32, 7, strides=2)(padded(3)(x)))
        ),
        shape=(16, 16, 3),
    ),
    "depthwise_stride_2": Row(
        lambda x: norm(
            conv(name="binary")(layers.DepthwiseConv2D(3, strides=2)(padded(1)(x)))
        ),
        shape=(16, 16, 32),
    ),
    "stride_larger_than_the_kernel": Row(
        lambda x: norm(
            conv(name="binary")(layers.Conv2D(32, (3, 1), strides=2, padding="same")(x))
        ),
        shape=(8, 8, 8),
    ),
    "stride_larger_than_the_kernel_in_groups": Row(
        alone(size=2, groups=4, strides=3, pad_values=0.0),
        shape=(6, 9, 32),
        binary=0,
        stays_float={"binary": "groups have 8 channels"},
    ),
    "projection_of_stride_2": Row(
        lambda x: norm(
            conv(name="binary")(layers.Conv2D(32, 1, strides=2, padding="same")(x))
        ),
        shape=(8, 8, 8),
        operators={"CONV_2D": 1, "STRIDED_SLICE": 0, "SLICE": 0},
    ),
    "padded_pool_stride_2": Row(
        lambda x: norm(
            conv(name="binary")(layers.MaxPool2D(3, 2)(padded(1)(layers.ReLU()(x))))
        )
    ),
    "float_groups": Row(
        lambda x: norm(
            conv(name="binary")(norm(layers.Conv2D(64, 3, groups=4, padding="same")(x)))
        ),
        operators={"CONV_2D": 4, "SPLIT": 1},
    ),
}

GRAPHS = {
    "two_branches": Row(twins, binary=2),
    "one_layer_used_twice": Row(shared, binary=2),
    "model_in_a_model": Row(nested, binary=2),
    "image_classifier": Row(image_classifier, shape=(12, 12, 1), binary=2),
    "several_inputs_and_outputs": Row(
        two_sides, shape={"b": (8, 8, 32), "a": (8, 8, 32)}, binary=3
    ),
    "inputs_of_two_shapes": Row(
        lambda image, vector: layers.Concatenate()(
            [
                layers.GlobalAveragePooling2D()(conv(name="one")(image)),
                norm(dense(name="two")(vector)),
            ]
        ),
        shape={"image": (6, 6, 32), "vector": (40,)},
        binary=2,
    ),
    "output_that_is_a_sign": Row(
        lambda x: lq.quantizers.SteSign(name="last")(norm(conv(name="binary")(x)))
    ),
}


def network(**kernel):
    """For images of clothes."""

    def build(x):
        x = norm(layers.Conv2D(32, 3, strides=4, use_bias=False)(x))
        x = norm(conv(name="first", **kernel)(x))
        x = norm(conv(name="second", pad_values=0.0, strides=2, **kernel)(x))
        x = dense(name="third", **kernel)(layers.GlobalAveragePooling2D()(x))
        return layers.Dense(10)(norm(x))

    return build


def trained_by(make, steps=2):
    """Trains with an optimizer; Adam takes what that does not."""

    def change(model):
        images, labels = datasets.load("fashion_mnist_mini").test_arrays()
        optimizer = make()
        home = optimizers
        if isinstance(optimizer, tf.keras.optimizers.legacy.Optimizer):
            home = optimizers.legacy
        if not isinstance(optimizer, ADAMS):
            adam = (
                tf.keras.optimizers
                if home is optimizers
                else tf.keras.optimizers.legacy
            ).Adam(0.01)
            pair = (optimizers.is_binary_variable, optimizer)
            optimizer = home.CaseOptimizer(pair, default_optimizer=adam)
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, run_eagerly=True)
        before = model.get_layer("first").kernel.numpy()
        for step in range(steps):
            part = slice(16 * step, 16 * (step + 1))
            model.train_on_batch(images[part], labels[part])
        moved = model.get_layer("first").kernel.numpy() != before
        if not moved.any():
            raise RuntimeError("The optimizer changed nothing.")

    return change


def learned(make, kernel=None, **options):
    return Row(
        network(**(free() if kernel is None else kernel)),
        shape=(28, 28, 1),
        change=trained_by(make),
        clothes=True,
        **{"binary": 3, **options},
    )


ADAMS = (tf.keras.optimizers.Adam, tf.keras.optimizers.legacy.Adam)
DRIFTED = "weights of its kernel are not [+]-c of their output channel"
BUTTERWORTH = ([0.1, 0.1], [1.0, -0.8])

OPTIMIZERS = {
    "diode": learned(optimizers.Diode),
    "gradient_filter": learned(lambda: optimizers.GradientFilter(0.1, 0.1)),
    "gradient_filter_of_order_1": learned(
        lambda: optimizers.GradientFilter(0.1, order=1)
    ),
    "iir_filter": learned(lambda: optimizers.IIRFilter(*BUTTERWORTH)),
    "bop": learned(lambda: optimizers.Bop(1e-6, 0.1)),
    "bop_2nd_order": learned(lambda: optimizers.Bop2ndOrder(1e-3, 0.1, 0.1)),
    "legacy_diode": learned(optimizers.legacy.Diode),
    "legacy_gradient_filter": learned(
        lambda: optimizers.legacy.GradientFilter(0.1, 0.1)
    ),
    "legacy_iir_filter": learned(lambda: optimizers.legacy.IIRFilter(*BUTTERWORTH)),
    "larqs_bop": learned(lambda: lq.optimizers.Bop(1e-6, 0.1)),
    "legacy_bop_2nd_order": learned(
        lambda: optimizers.legacy.Bop2ndOrder(1e-3, 0.1, 0.1)
    ),
    "adam_on_latent_weights": learned(tf.keras.optimizers.Adam, kernel={}),
    # An optimizer for real weights takes them out of {-1, +1}.
    "adam_on_weights_without_latent_ones": learned(
        lambda: tf.keras.optimizers.Adam(1e-3),
        refused="first has [0-9]+ weights that are not .* Use Diode",
    ),
    "fast_adam_on_weights_without_latent_ones": learned(
        lambda: tf.keras.optimizers.Adam(0.1),
        binary=0,
        stays_float={"first": DRIFTED, "second": DRIFTED, "third": DRIFTED},
    ),
}

MODELS = {
    **QUANTIZERS,
    **KERNELS,
    **SHAPES,
    **KINDS,
    **AROUND,
    **GRAPHS,
    **OPTIMIZERS,
}
