"""Counts of layers, against numbers worked out here and against larq's summary."""

import larq as lq
import larq_zoo as lqz
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx

layers = tf.keras.layers
BINARY = {"input_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
BINARY["kernel_quantizer"] = "ste_sign"
KERNEL = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}


def count(*stack, shape=(8, 6, 64)):
    return zx.count_ops(tf.keras.Sequential([tf.keras.Input(shape), *stack]))


# Layer, input, binary MACs, float MACs, parameters, bits of memory, bits of in/kernel.
HAND = {
    "binary": (
        lambda: lq.layers.QuantConv2D(32, 3, padding="same", use_bias=False, **BINARY),
        (8, 6, 64),
        (8 * 6) * (9 * 64 * 32), 0, 9 * 64 * 32, 9 * 64 * 32, "1/1",
    ),
    "bias is float": (
        lambda: lq.layers.QuantConv2D(32, 3, strides=2, padding="same", **BINARY),
        (8, 6, 64),
        (4 * 3) * (9 * 64 * 32), 0, 9 * 64 * 32 + 32, 9 * 64 * 32 + 32 * 32, "1/1",
    ),
    "valid": (
        lambda: lq.layers.QuantConv2D(32, 3, use_bias=False, **BINARY),
        (8, 6, 64),
        (6 * 4) * (9 * 64 * 32), 0, 9 * 64 * 32, 9 * 64 * 32, "1/1",
    ),
    "groups": (
        lambda: lq.layers.QuantConv2D(
            32, 3, padding="same", groups=2, use_bias=False, **BINARY
        ),
        (8, 6, 64),
        (8 * 6) * (9 * 32 * 32), 0, 9 * 32 * 32, 9 * 32 * 32, "1/1",
    ),
    "float groups": (
        lambda: layers.Conv2D(64, 3, padding="same", groups=8, use_bias=False),
        (8, 6, 32),
        0, (8 * 6) * (9 * 4 * 64), 9 * 4 * 64, 9 * 4 * 64 * 32, "32/32",
    ),
    "latent-free": (
        lambda: lq.layers.QuantConv2D(
            32, 1, use_bias=False, input_quantizer="approx_sign",
            kernel_quantizer=lq.quantizers.NoOp(precision=1),
        ),
        (8, 6, 64),
        (8 * 6) * (64 * 32), 0, 64 * 32, 64 * 32, "1/1",
    ),
    "binary kernel on floats": (
        lambda: lq.layers.QuantConv2D(
            32, 1, use_bias=False, kernel_quantizer="ste_sign",
            kernel_constraint="weight_clip",
        ),
        (8, 6, 64),
        0, (8 * 6) * (64 * 32), 64 * 32, 64 * 32, "32/1",
    ),
    "float kernel on bits": (
        lambda: lq.layers.QuantConv2D(
            32, 1, use_bias=False, input_quantizer="ste_sign"
        ),
        (8, 6, 64),
        0, (8 * 6) * (64 * 32), 64 * 32, 64 * 32 * 32, "1/32",
    ),
    "ternary": (
        lambda: lq.layers.QuantConv2D(
            32, 1, use_bias=False, input_quantizer="ste_sign",
            kernel_quantizer="ste_tern", kernel_constraint="weight_clip",
        ),
        (8, 6, 64),
        0, (8 * 6) * (64 * 32), 64 * 32, 64 * 32 * 32, "1/2",
    ),
    "a quantizer of unknown bits": (
        lambda: lq.layers.QuantConv2D(
            32, 1, use_bias=False, input_quantizer=tf.sign,
            kernel_quantizer="ste_sign", kernel_constraint="weight_clip",
        ),
        (8, 6, 64),
        0, (8 * 6) * (64 * 32), 64 * 32, 64 * 32, "32/1",
    ),
    "binary depthwise": (
        lambda: lq.layers.QuantDepthwiseConv2D(
            3, padding="same", depth_multiplier=2, use_bias=False,
            input_quantizer="ste_sign", depthwise_quantizer="ste_sign",
        ),
        (8, 6, 64),
        (8 * 6) * (9 * 64 * 2), 0, 9 * 64 * 2, 9 * 64 * 2, "1/1",
    ),
    "depthwise": (
        lambda: layers.DepthwiseConv2D(3, strides=2),
        (9, 7, 16),
        0, (4 * 3) * (9 * 16), 9 * 16 + 16, (9 * 16 + 16) * 32, "32/32",
    ),
    "binary dense": (
        lambda: lq.layers.QuantDense(10, **BINARY),
        (48,),
        48 * 10, 0, 48 * 10 + 10, 48 * 10 + 10 * 32, "1/1",
    ),
    "dense on a sequence": (
        lambda: layers.Dense(10),
        (7, 48),
        0, 7 * 48 * 10, 48 * 10 + 10, (48 * 10 + 10) * 32, "32/32",
    ),
    "one dimension": (
        lambda: lq.layers.QuantConv1D(
            16, 5, padding="causal", use_bias=False, **BINARY
        ),
        (20, 8),
        20 * (5 * 8 * 16), 0, 5 * 8 * 16, 5 * 8 * 16, "1/1",
    ),
    "three dimensions": (
        lambda: layers.Conv3D(4, (1, 2, 3), use_bias=False),
        (5, 6, 7, 2),
        0, (5 * 5 * 5) * (1 * 2 * 3 * 2 * 4), 48, 48 * 32, "32/32",
    ),
    "transposed": (
        lambda: lq.layers.QuantConv2DTranspose(
            32, 3, strides=2, padding="same", use_bias=False, **BINARY
        ),
        (8, 6, 64),
        (8 * 6) * (9 * 64 * 32), 0, 9 * 64 * 32, 9 * 64 * 32, "1/1",
    ),
    "own weights for each position": (
        lambda: layers.LocallyConnected2D(4, 3, use_bias=False),
        (8, 6, 5),
        0, (6 * 4) * (9 * 5 * 4), (6 * 4) * (9 * 5 * 4), 24 * 180 * 32, "32/32",
    ),
    # Four weights a channel, of which a device keeps a factor and an offset.
    "batch normalization": (
        lambda: layers.BatchNormalization(), (8, 6, 64), 0, 0, 4 * 64, 2 * 64 * 32, "",
    ),
    "PReLU of each value": (
        lambda: layers.PReLU(), (8, 6, 5), 0, 0, 8 * 6 * 5, 8 * 6 * 5 * 32, "",
    ),
    "embedding": (
        lambda: layers.Embedding(100, 16), (7,), 0, 0, 1600, 1600 * 32, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HAND)
def test_a_layer(case):
    make, shape, binary, real, parameters, memory, bits = HAND[case]
    counted = count(make(), shape=shape)
    (layer,) = counted.layers
    assert (layer.binary_macs, layer.float_macs) == (binary, real)
    assert (layer.parameters, layer.memory_bits) == (parameters, memory)
    assert layer.bits == bits
    # In ACE a real number has 16 bits.
    widths = [16 if text == "32" else int(text) for text in bits.split("/") if text]
    assert counted.ace == layer.ace == (binary + real) * np.prod(widths)
    assert (counted.bops, counted.flops) == (binary, real)
    assert counted.ops == layer.ops == binary / 64 + real
    assert counted.mebibytes == memory / 8 / 1024 / 1024


@pytest.mark.parametrize(
    "inputs, kernel, ace",
    [
        ("ste_sign", "ste_sign", 1 * 1),
        (None, "ste_sign", 16 * 1),
        ("ste_sign", "ste_tern", 1 * 2),
        (lq.quantizers.DoReFa(8), lq.quantizers.DoReFa(4, mode="weights"), 8 * 4),
        (None, None, 16 * 16),
    ],
)
def test_the_bit_products_of_a_layer(inputs, kernel, ace):
    layer = lq.layers.QuantConv2D(
        4, 3, padding="same", input_quantizer=inputs, kernel_quantizer=kernel
    )
    counted = count(layer, shape=(8, 6, 2))
    assert counted.ace == (8 * 6) * (9 * 2 * 4) * ace
    assert f"{counted.ace:,} bit products (ACE)" in counted.summary()
    assert counted.as_dict()["ace"] == counted.ace


def test_the_bit_products_of_a_layer_that_is_called_with_bits_and_with_floats():
    image = tf.keras.Input((4, 4, 8))
    conv = lq.layers.QuantConv2D(8, 1, use_bias=False, **KERNEL)
    signs = lq.quantizers.SteSign()(image)
    model = tf.keras.Model(image, layers.Add()([conv(image), conv(signs)]))
    assert zx.count_ops(model).ace == (4 * 4) * (8 * 8) * (16 + 1)


@pytest.mark.slow
def test_the_published_bit_products_of_reactnet():
    """Abstract of PokeBNN: 7.9e9. Real numbers of 32 bits would give 17.0e9."""
    counted = zx.count_ops(zx.ReActNetA())
    assert f"{counted.ace / 1e9:.1f}" == "7.9"
    assert counted.ace == counted.bops + 256 * counted.flops


def test_the_grouped_stem_saves_two_fifths_of_the_other():
    """Paper 002, section 3.2: 0.69e8 in the place of 1.18e8 operations."""
    macs = {}
    for stem in ("conv7x7", "grouped"):
        model = zx.ResNetE18(stem=stem, filters=(64,), blocks=(1,))
        layers = zx.count_ops(model).layers
        macs[stem] = sum(x.float_macs for x in layers if x.name.startswith("stem"))
    assert round(macs["conv7x7"] / 1e8, 2) == 1.18
    assert round(macs["grouped"] / 1e8, 2) == 0.69
    assert macs["grouped"] < 0.6 * macs["conv7x7"]


def test_channels_first():
    # Tracing computes nothing, so it needs no device that can.
    stack = layers.Conv2D(4, 3, data_format="channels_first", use_bias=False)
    assert count(stack, shape=(3, 8, 6)).flops == (6 * 4) * (9 * 3 * 4)


def test_separable_is_two_kernels():
    counted = count(
        lq.layers.QuantSeparableConv2D(
            32,
            3,
            padding="same",
            input_quantizer="ste_sign",
            depthwise_quantizer="ste_sign",
            pointwise_quantizer="ste_sign",
            name="both",
        )
    )
    first, second = counted.layers
    assert (first.name, first.bits) == ("both (depthwise)", "1/1")
    assert first.binary_macs == (8 * 6) * (9 * 64)
    assert (first.parameters, first.memory_bits) == (576, 576)
    # The second multiplies the sums of the first.
    assert (second.name, second.bits) == ("both (pointwise)", "32/1")
    assert (second.binary_macs, second.float_macs) == (0, (8 * 6) * (64 * 32))
    assert (second.parameters, second.memory_bits) == (
        64 * 32 + 32,
        64 * 32 + 32 * 32,
    )


@pytest.mark.parametrize(
    "between, binary",
    [
        ([lq.quantizers.SteSign()], True),
        ([layers.Activation(lq.quantizers.SteSign())], True),
        ([layers.Conv2D(64, 1, activation=lq.quantizers.SteSign())], True),
        ([lq.quantizers.SteSign(), layers.MaxPooling2D()], True),
        ([lq.quantizers.SteSign(), layers.Reshape((6, 8, 64))], True),
        ([lq.quantizers.SteSign(), layers.AveragePooling2D()], False),
        ([lq.quantizers.SteSign(), layers.BatchNormalization()], False),
        ([lq.quantizers.DoReFaQuantizer(2)], False),
        ([lq.quantizers.DoReFaQuantizer(1)], False),
        ([layers.Activation(lq.quantizers.DoReFaQuantizer(1))], False),
        ([lq.quantizers.SteHeaviside()], False),
        ([lq.quantizers.DoReFaQuantizer(1, mode="weights")], True),
        ([layers.ReLU()], False),
    ],
)
def test_inputs_that_were_quantized_before(between, binary):
    last = count(*between, lq.layers.QuantConv2D(8, 1, **KERNEL)).layers[-1]
    assert last.input_bits == (1 if binary else 32)
    assert (last.binary_macs > 0) is binary
    assert (last.float_macs > 0) is not binary


def test_concatenated_bits():
    a, b = tf.keras.Input((4, 4, 8)), tf.keras.Input((4, 4, 8))
    sign = lq.quantizers.SteSign()
    conv = lq.layers.QuantConv2D(8, 1, use_bias=False, **KERNEL)
    both = tf.keras.Model([a, b], conv(layers.Concatenate()([sign(a), sign(b)])))
    assert zx.count_ops(both).bops == 16 * 16 * 8
    conv = lq.layers.QuantConv2D(8, 1, use_bias=False, **KERNEL)
    half = tf.keras.Model([a, b], conv(layers.Concatenate()([sign(a), b])))
    assert zx.count_ops(half).bops == 0


def test_nested_and_shared():
    inner = tf.keras.Sequential(
        [
            tf.keras.Input((None, None, 16)),
            lq.layers.QuantConv2D(16, 3, padding="same", name="conv", **BINARY),
            layers.BatchNormalization(name="norm"),
        ],
        name="inner",
    )
    image = tf.keras.Input((8, 6, 16))
    x = inner(image)
    x = layers.MaxPooling2D(2)(x)
    x = inner(x)
    model = tf.keras.Model(image, x)
    counted = zx.count_ops(model)
    # Once at 8x6 and once at 4x3, with one set of weights.
    assert counted.bops == (8 * 6 + 4 * 3) * (9 * 16 * 16)
    assert [layer.name for layer in counted.layers] == ["conv", "norm"]
    assert counted.parameters == model.count_params()


class Block(layers.Layer):
    """A convolution, a scale of its own, and Python's control flow."""

    def __init__(self):
        super().__init__(name="block")
        self.conv = lq.layers.QuantConv2D(16, 1, use_bias=False, **BINARY)

    def build(self, shape):
        self.scale = self.add_weight("scale", (shape[-1],))

    def call(self, inputs):
        if tf.reduce_sum(inputs) > 0:
            inputs = -inputs
        return self.conv(inputs) * self.scale


def test_layers_in_layers():
    image = tf.keras.Input((8, 6, 16))
    model = tf.keras.Model(image, Block()(image))
    counted = zx.count_ops(model)
    assert counted.bops == 8 * 6 * 16 * 16
    assert [(layer.kind, layer.parameters) for layer in counted.layers] == [
        ("Block", 16),
        ("QuantConv2D", 256),
    ]


class Subclassed(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)
        self.unused = layers.Dense(2)
        self.unused.build((None, 7))

    def call(self, inputs):
        return self.dense(inputs)


def test_a_model_without_known_inputs():
    model = Subclassed()
    with pytest.raises(ValueError, match="does not know the shape of its inputs"):
        zx.count_ops(model)
    counted = zx.count_ops(model, input_shape=(5,))
    assert counted.flops == 15
    # What the model never calls is in its memory all the same.
    assert counted.parameters == 5 * 3 + 3 + 7 * 2 + 2
    assert counted.layers[-1].output_shape is None


def test_unknown_sizes():
    model = tf.keras.Sequential(
        [tf.keras.Input((None, None, 3)), layers.Conv2D(4, 1, use_bias=False)]
    )
    with pytest.raises(ValueError, match=r"\(None, None, 3\); give the size"):
        zx.count_ops(model)
    assert zx.count_ops(model, input_shape=(5, 7, 3)).flops == 5 * 7 * 3 * 4
    with pytest.raises(ValueError, match=r"input_shape does not fit .*\(5, 7, 4\)"):
        zx.count_ops(model, input_shape=(5, 7, 4))
    a, b = tf.keras.Input((2,)), tf.keras.Input((2,))
    two = tf.keras.Model([a, b], layers.Add()([a, b]), name="two")
    with pytest.raises(ValueError, match="two has 2"):
        zx.count_ops(two, input_shape=(2,))
    assert zx.count_ops(two).ops == 0


@pytest.mark.parametrize(
    "inputs, kernel, binary, packed",
    [
        ("ste_sign", "ste_sign", True, True),
        (lq.quantizers.DoReFa(1), lq.quantizers.DoReFa(1), False, False),
        (lq.quantizers.DoReFa(1), "ste_sign", False, True),
        ("ste_sign", lq.quantizers.DoReFa(1), False, False),
        ("ste_sign", lq.quantizers.DoReFa(1, mode="weights"), True, True),
        ("ste_heaviside", "ste_heaviside", False, False),
        ("ste_sign", "magnitude_aware_sign", True, True),
        ("approx_sign", "swish_sign", True, True),
        ("ste_tern", "ste_sign", False, True),
    ],
)
@pytest.mark.parametrize("kind", ["dense", "depthwise"])
def test_only_signs_are_binary(inputs, kernel, binary, packed, kind):
    """0 and 1 take one bit, and no operator of signs computes with them."""
    if kind == "dense":
        layer = lq.layers.QuantDense(
            5, input_quantizer=inputs, kernel_quantizer=kernel, use_bias=False
        )
        counted, macs = count(layer, shape=(7,)), 35
    else:
        layer = lq.layers.QuantDepthwiseConv2D(
            3, input_quantizer=inputs, depthwise_quantizer=kernel, use_bias=False
        )
        counted, macs = count(layer, shape=(5, 5, 7)), 9 * 9 * 7
    assert (counted.bops, counted.flops) == ((macs, 0) if binary else (0, macs))
    assert counted.memory_bits == counted.parameters * (1 if packed else 32)
    assert (counted.layers[0].bits == "1/1") is binary


@pytest.mark.parametrize(
    "equation, output, shape, macs",
    [
        ("abc,cd->abd", (None, 5), (6, 4), 6 * 4 * 5),
        ("abc,cde->abde", (None, 3, 2), (6, 4), 6 * 4 * 3 * 2),
        ("abcd,cde->abe", (None, 7), (6, 4, 3), 6 * 4 * 3 * 7),
        ("...x,xy->...y", 5, (2, 3, 4), 2 * 3 * 4 * 5),
        ("abc,bd->adc", (9, 4), (6, 4), 6 * 4 * 9),
    ],
)
def test_einsums_multiply_each_pair_once(equation, output, shape, macs):
    counted = count(layers.EinsumDense(equation, output), shape=shape)
    assert (counted.flops, counted.uncounted) == (macs, ())


def test_an_attention_is_named_and_the_layers_in_it_are_counted():
    image = tf.keras.Input((6, 8))
    one = layers.MultiHeadAttention(2, 3, name="one")(image, image)
    two = layers.MultiHeadAttention(2, 3, name="two")(one, one)
    with pytest.warns(UserWarning, match="multiplications of one, two are not counted"):
        counted = zx.count_ops(tf.keras.Model(image, two))
    # Queries, keys, values: 8 -> 2 heads of 3; and back.
    assert counted.flops == 2 * 6 * (3 * 8 * 6 + 6 * 8)
    assert counted.uncounted == ("one", "two")
    names = [layer.name for layer in counted.layers]
    assert names[:3] == ["one/query", "one/key", "one/value"]
    assert "two/attention_output" in names


class Mixing(layers.Layer):
    def build(self, shape):
        self.matrix = self.add_weight("matrix", (shape[-1], shape[-1]))

    def call(self, inputs):
        return inputs @ self.matrix


def test_unknown_layers_are_named():
    stack = [layers.Dense(4), Mixing(name="mixing")]
    with pytest.warns(UserWarning, match="multiplications of mixing are not counted"):
        counted = count(*stack, shape=(3,))
    assert counted.uncounted == ("mixing",)
    assert counted.flops == 12
    assert counted.parameters == 12 + 4 + 16
    assert "not counted: mixing." in counted.markdown()
    with pytest.warns(UserWarning, match="multiplications of again/lstm_cell.*, again"):
        count(layers.LSTM(2, name="again"), shape=(5, 3))
    with pytest.warns(UserWarning, match="multiplications of each are not counted"):
        count(layers.TimeDistributed(layers.Dense(2), name="each"), shape=(5, 3))


class Offset(layers.Layer):
    def build(self, shape):
        self.offset = self.add_weight("offset", (1, 1, shape[-1]))

    def call(self, inputs):
        return inputs + self.offset


def test_own_elementwise_layers_multiply_nothing():
    counted = count(Offset(), shape=(4, 4, 8))
    assert (counted.ops, counted.parameters, counted.uncounted) == (0, 8, ())


def test_the_model_is_left_as_it_was():
    model = zx.TinyResidualBNN()
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype("float32")
    before = model(images).numpy()
    zx.count_ops(model)
    assert not any("call" in vars(layer) for layer in model.layers)
    np.testing.assert_array_equal(model(images), before)


def test_latent_and_latent_free_are_the_same():
    kinds = [zx.TinyResidualBNN(latent_weights=latent) for latent in (True, False)]
    latent, free = (zx.count_ops(model) for model in kinds)
    assert latent == free


def larq_says(model):
    profile = lq.models.ModelProfile(model)
    return (
        profile.op_count("mac", 1),
        profile.op_count("mac", 32),
        profile.memory,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: zx.TinyResidualBNN(),
        lambda: lqz.literature.BinaryResNetE18(weights=None),
    ],
)
def test_as_larq_counts(make):
    model = make()
    counted = zx.count_ops(model)
    assert (counted.bops, counted.flops, counted.memory_bits) == larq_says(model)
    assert counted.parameters == model.count_params()
    assert counted.uncounted == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "BinaryDenseNet28",
        "BinaryDenseNet37",
        "BinaryDenseNet37Dilated",
        "BinaryDenseNet45",
        "BiRealNet",
        "MeliusNet22",
        "RealToBinaryNet",
        "QuickNet",
    ],
)
def test_as_larq_counts_its_zoo(name):
    module = lqz.sota if name == "QuickNet" else lqz.literature
    model = getattr(module, name)(weights=None)
    counted = zx.count_ops(model)
    assert (counted.bops, counted.flops, counted.memory_bits) == larq_says(model)
    assert counted.parameters == model.count_params()


def test_markdown():
    stack = (
        lq.layers.QuantConv2D(32, 3, padding="same", name="conv", **BINARY),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(10, name="top"),
    )
    counted = count(*stack)
    assert counted.last_dense.name == "top"
    page = counted.markdown()
    # 884,736 / 64 = 13,824 of 13,824 + 15,360 operations.
    assert (
        "| conv | QuantConv2D | 1/1 | 3x3x64x32 | 8x6x32 | 884,736 | 0 | 47.4% |"
    ) in page
    assert "| top | Dense | 32/32 | 1536x10 | 10 | 0 | 15,360 | 52.6% |" in page
    assert "| 1 others | BatchNormalization |" in page
    assert count(layers.Conv2D(3, 1)).last_dense is None
