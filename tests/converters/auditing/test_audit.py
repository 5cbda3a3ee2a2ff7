"""The audit: every layer with quantizers is binary, or has a reason why not."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx

from ..conftest import conv, noise, one_layer

FREE = {
    "kernel_quantizer": lq.quantizers.NoOp(precision=1),
    "kernel_initializer": zx.initializers.BernoulliSign(seed=1),
}

BINARY = {
    "latent": lambda: conv(),
    "latent_free": lambda: conv(**FREE),
    "approximate_sign": lambda: conv(kernel_quantizer="approx_sign"),
    "swish_sign": lambda: conv(input_quantizer="swish_sign"),
    "zero_padding": lambda: conv(pad_values=0.0),
    "valid": lambda: conv(padding="valid"),
    "stride": lambda: conv(strides=2),
    "dilation": lambda: conv(dilation_rate=2),
    "odd_channels": lambda: conv(filters=31),
    "magnitude": lambda: conv(kernel_quantizer="magnitude_aware_sign"),
    "pointwise": lambda: conv(kernel_size=1),
}
LAYERS = lq.layers
FLOAT = {
    "dense": (
        lambda: LAYERS.QuantDense(
            32, input_quantizer="ste_sign", kernel_quantizer="ste_sign", name="binary"
        ),
        "no binary dense operator",
        (64,),
    ),
    "depthwise": (
        lambda: LAYERS.QuantDepthwiseConv2D(
            3, input_quantizer="ste_sign", depthwise_quantizer="ste_sign", name="binary"
        ),
        "no binary operator for QuantDepthwiseConv2D",
        (8, 8, 64),
    ),
    "float_inputs": (
        lambda: conv(input_quantizer=None),
        r"its inputs are not binary \(input_quantizer is None\)",
        (8, 8, 64),
    ),
    "heaviside_inputs": (
        lambda: conv(input_quantizer="ste_heaviside"),
        r"its inputs are not binary \(input_quantizer is SteHeaviside\)",
        (8, 8, 64),
    ),
    "dorefa_kernel": (
        lambda: conv(kernel_quantizer=lq.quantizers.DoReFa(2, mode="weights")),
        r"its kernel is not binary \(DoReFa\)",
        (8, 8, 64),
    ),
    "negative_padding": (
        lambda: conv(pad_values=-1.0),
        "it pads with -1.0",
        (8, 8, 64),
    ),
    "small_groups": (
        lambda: conv(groups=4),
        "its groups have 16 channels",
        (8, 8, 64),
    ),
    "never_binary_kernel": (
        lambda: conv(kernel_quantizer=FREE["kernel_quantizer"]),
        "weights of its kernel are not [+]-c",
        (8, 8, 64),
    ),
    "not_yet_binary_kernel": (
        lambda: conv(kernel_quantizer=zx.TemperatureSign()),
        "values of TemperatureSign of its kernel are not .*zoo_extensions.force_sign",
        (8, 8, 64),
    ),
}


def dense(**options):
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    return LAYERS.QuantDense(32, name="binary", **{**signs, **options})


def over_time(**options):
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    return LAYERS.QuantConv1D(32, 3, name="binary", **{**signs, **options})


# What stays float with all rewrites: the layer, its inputs, the reason, and the layer
# that follows the advice, with its inputs.
ADVICE = {
    "dense_of_real_inputs": (
        lambda: dense(input_quantizer=None),
        (64,),
        r"inputs are not binary \(input_quantizer is None\)",
        lambda: dense(),
        (64,),
    ),
    "dense_of_heaviside_inputs": (
        lambda: dense(input_quantizer="ste_heaviside"),
        (64,),
        r"inputs are not binary \(input_quantizer is SteHeaviside\)",
        lambda: dense(),
        (64,),
    ),
    "ternary_dense": (
        lambda: dense(kernel_quantizer="ste_tern"),
        (64,),
        r"its kernel is not binary \(SteTern\)",
        lambda: dense(**FREE),
        (64,),
    ),
    "dense_with_a_real_kernel": (
        lambda: dense(kernel_quantizer=None),
        (64,),
        r"its kernel is not binary \(None\)",
        lambda: dense(),
        (64,),
    ),
    "dense_never_binary": (
        lambda: dense(kernel_quantizer=FREE["kernel_quantizer"]),
        (64,),
        "weights of its kernel are not",
        lambda: dense(**FREE),
        (64,),
    ),
    "channels_first": (
        lambda: conv(data_format="channels_first"),
        (64, 8, 8),
        "its channels come first",
        lambda: conv(),
        (8, 8, 64),
    ),
    "signs_of_another_kind": (
        lambda: conv(
            input_quantizer=lambda x: tf.clip_by_value(lq.math.sign(x), -1, 1)
        ),
        (8, 8, 64),
        r"inputs are not binary \(input_quantizer is <lambda>\)",
        lambda: conv(),
        (8, 8, 64),
    ),
    "causal": (
        lambda: over_time(padding="causal"),
        (9, 32),
        "its causal padding puts zeros among the signs",
        lambda: over_time(padding="same"),
        (9, 32),
    ),
    "dilated_over_time": (
        lambda: over_time(dilation_rate=2),
        (9, 32),
        r"dilated convolutions over time .*kernel_size=\(1, 3\) on images of height 1",
        lambda: conv(kernel_size=(1, 3), dilation_rate=(1, 2), padding="valid"),
        (1, 9, 32),
    ),
    "grouped_over_time": (
        lambda: over_time(groups=2),
        (9, 64),
        r"grouped convolutions over time .*kernel_size=\(1, 3\) on images of height 1",
        lambda: conv(kernel_size=(1, 3), groups=2, padding="valid"),
        (1, 9, 64),
    ),
    "small_groups": (
        lambda: conv(groups=4),
        (8, 8, 64),
        "its groups have 16 channels",
        lambda: conv(groups=2),
        (8, 8, 64),
    ),
    "other_padding": (
        lambda: conv(pad_values=0.5),
        (8, 8, 64),
        "it pads with 0.5",
        lambda: conv(),
        (8, 8, 64),
    ),
    "transposed": (
        lambda: LAYERS.QuantConv2DTranspose(
            32,
            3,
            input_quantizer="ste_sign",
            kernel_quantizer="ste_sign",
            name="binary",
        ),
        (8, 8, 32),
        "no binary operator for QuantConv2DTranspose",
        lambda: conv(),
        (8, 8, 32),
    ),
}


ADVICE_UNDER_SLOW = (
    "dense_never_binary",
    "dense_of_heaviside_inputs",
    "dense_with_a_real_kernel",
    "grouped_over_time",
    "other_padding",
    "transposed",
)


@pytest.mark.parametrize(
    "make, shape, reason, cured, new_shape",
    [
        pytest.param(*entry, id=name, marks=pytest.mark.slow)
        if name in ADVICE_UNDER_SLOW
        else pytest.param(*entry, id=name)
        for name, entry in ADVICE.items()
    ],
)
def test_reasons_are_true_and_advice_helps(make, shape, reason, cured, new_shape):
    def only(layer, shape):
        model = tf.keras.Sequential([tf.keras.Input(shape), layer])
        return converters.convert(model, inputs=noise(model, 4)).report.audit

    with pytest.warns(UserWarning, match=f"binary .* stayed float: .*{reason}"):
        audit = only(make(), shape)
    assert not audit.converted
    assert not only(cured(), new_shape).stayed_float


@pytest.mark.parametrize("before", [[], [tf.keras.layers.Flatten]], ids=str)
def test_a_dense_layer_after_a_layer_of_signs_needs_the_rewrite_alone(before):
    model = tf.keras.Sequential(
        [
            tf.keras.Input((64,)),
            lq.quantizers.SteSign(),
            *(layer() for layer in before),
            dense(input_quantizer=None),
        ]
    )
    with pytest.warns(UserWarning, match="no binary dense operator.*'dense_to_conv'"):
        converters.convert(model, inputs=noise(model), rewrites=None)
    report = converters.convert(model, inputs=noise(model)).report
    assert not report.audit.stayed_float


def test_a_kernel_of_equal_weights_is_found():
    """Larq Compute Engine describes it by one value, not by its bits."""
    import larq_compute_engine as lce

    layer = conv(
        kernel_size=1,
        kernel_quantizer=lq.quantizers.NoOp(precision=1),
        kernel_initializer="ones",
    )
    model = tf.keras.Sequential([tf.keras.Input((1, 1, 2**15)), layer])
    conversion = converters.convert(model, inputs=noise(model, 2))
    assert not conversion.report.audit.stayed_float
    assert "FILL" not in conversion.report.audit.operators
    plain = converters.audit(model, lce.convert_keras_model(model))
    assert plain.operators["FILL"] == 1 and not plain.stayed_float


@pytest.mark.parametrize("layer", BINARY.values(), ids=BINARY)
def test_becomes_binary_and_says_the_same(layer):
    model = one_layer(layer())
    report = converters.convert(model, inputs=noise(model)).report
    assert [entry.name for entry in report.audit.converted] == ["binary"]
    assert report.audit.operators["LceBconv2d"] == 1
    assert report.verification.largest_difference < 1e-5


@pytest.mark.parametrize("make, reason, shape", FLOAT.values(), ids=FLOAT)
def test_stays_float_with_a_reason(make, reason, shape):
    model = one_layer(make(), shape)
    with pytest.warns(UserWarning, match=f"binary .* stayed float: .*{reason}"):
        report = converters.convert(model, inputs=noise(model), rewrites=None).report
    assert not report.audit.converted
    assert "LceBconv2d" not in report.audit.operators
    (entry,) = report.audit.stayed_float
    assert entry.name == "binary" and entry.fix


def test_layers_are_matched_by_their_weights():
    """Two layers of one shape, of which one cannot be converted."""
    tf.keras.utils.set_random_seed(0)
    x = inputs = tf.keras.Input((8, 8, 32))
    x = conv(name="first", input_quantizer=None)(x)
    x = tf.keras.layers.BatchNormalization()(x)
    x = conv(name="second")(x)
    x = tf.keras.layers.BatchNormalization()(x)
    model = tf.keras.Model(inputs, conv(name="third")(x))
    with pytest.warns(UserWarning, match="first .QuantConv2D. stayed float"):
        audit = converters.convert(model, inputs=noise(model)).report.audit
    assert [layer.name for layer in audit.converted] == ["second", "third"]
    indices = [layer.operator for layer in audit.converted]
    assert indices == sorted(indices)
    # A model with other weights matches nothing of that file.
    other = tf.keras.models.clone_model(model)
    content = converters.convert(model, inputs=None).content
    assert not converters.audit(other, content).converted


def test_a_sign_of_its_own_layer_counts():
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 64)),
            tf.keras.layers.BatchNormalization(),
            lq.quantizers.SteSign(),
            conv(input_quantizer=None),
        ]
    )
    report = converters.convert(model, inputs=noise(model)).report
    assert len(report.audit.converted) == 1
    (layer,) = report.verification.layers
    assert (layer.layer, layer.values) == (model.layers[1].name, 16 * 8 * 8 * 64)


def test_nested_models_are_audited():
    inner = one_layer(conv(), (8, 8, 64))
    outer = tf.keras.Sequential([tf.keras.Input((8, 8, 64)), inner])
    report = converters.convert(outer, inputs=noise(outer)).report
    assert [layer.name for layer in report.audit.converted] == ["binary"]


def test_filter_bits_are_the_signs_of_the_kernel():
    from converters.runtime import TfliteFile
    from converters.runtime.bits import filter_is_negative

    model = tf.keras.Sequential([tf.keras.Input((8, 8, 40)), conv()])
    file = TfliteFile(converters.convert(model, inputs=noise(model)).content)
    (operator,) = (op for op in file.operators if op.name == "LceBconv2d")
    bits = filter_is_negative(file, operator.inputs[1])
    kernel = np.moveaxis(model.layers[0].kernel.numpy(), -1, 0)
    np.testing.assert_array_equal(bits[..., :40], kernel < 0)
    assert not bits[..., 40:].any()


def with_40_channels():
    """Of three convolutions the middle one, whose outputs are bits, has thresholds."""
    model = one_layer(
        conv(filters=40, name="first"),
        after=[
            conv(filters=64, name="middle"),
            tf.keras.layers.BatchNormalization(),
            conv(filters=16, kernel_size=1, name="last"),
        ],
    )
    # Otherwise the constants after the convolutions are equal and shared in the file.
    norm = model.layers[3]
    values = np.random.default_rng(2).uniform(1, 2, (4, 64))
    norm.set_weights(list(values))
    return model


def test_the_bytes_of_each_operator_are_as_its_kernel_predicts():
    model = with_40_channels()
    content = converters.convert(model, inputs=noise(model)).content
    audit = converters.audit(model, content)
    assert [entry.layers for entry in audit.binary] == [
        ("first",), ("middle",), ("last",)
    ]  # fmt: skip
    # 64 channels are 2 words, 40 are 2 as well. A threshold has 4 bytes, a multiplier
    # with a bias 8.
    predicted = [40 * (9 * 2 * 4 + 4), 64 * (9 * 2 * 4 + 4), 16 * (2 * 4 + 8)]
    assert [entry.predicted_bytes for entry in audit.binary] == predicted
    assert [entry.num_bytes for entry in audit.binary] == predicted
    assert not any(entry.shared_bytes for entry in audit.binary)
    assert 0 < audit.metadata_bytes < audit.num_bytes == len(content)
    whole = sum(predicted) + audit.other_bytes + audit.metadata_bytes
    assert whole == len(content)


def test_a_buffer_that_two_operators_share_is_counted_once():
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 32)),
            conv(name="first"),
            tf.keras.layers.BatchNormalization(),
            # Without it the outputs of the first one are bits.
            tf.keras.layers.Activation("relu6"),
            conv(name="second"),
            tf.keras.layers.BatchNormalization(),
        ]
    )
    audit = converters.audit(model, converters.convert(model, inputs=None).content)
    first, second = audit.binary
    assert first.predicted_bytes == second.predicted_bytes == 32 * (9 * 4 + 8)
    assert first.num_bytes == first.predicted_bytes and not first.shared_bytes
    assert second.num_bytes + second.shared_bytes == second.predicted_bytes
    assert second.shared_bytes == 32 * 8


def test_a_file_is_audited_without_its_model(tmp_path):
    model = one_layer(conv())
    path = tmp_path / "model.tflite"
    converters.convert(model, path, inputs=None)
    alone, whole = converters.audit(None, path), converters.audit(model, path)
    assert alone.layers == () and alone.operators == whole.operators
    assert alone.num_bytes == path.stat().st_size
    (source,), (result,) = alone.inputs, alone.outputs
    assert (source.name, source.shape, source.dtype) == (
        model.input_names[0], (1, 8, 8, 64), np.float32
    )  # fmt: skip
    assert (result.name, result.shape) == (model.output_names[0], (1, 8, 8, 32))
    (operator,) = alone.binary
    assert operator.layers == () and operator.predicted_bytes is None
    assert operator.num_bytes == whole.binary[0].num_bytes == 32 * (9 * 2 * 4 + 8)


def test_a_small_flipped_kernel_is_not_matched_to_another_one():
    x = tf.keras.Input((8, 8, 32))
    options = {"padding": "valid", "name": "real", "input_quantizer": None}
    real = conv(filters=1, kernel_size=1, **options)(x)
    y = tf.keras.layers.MaxPool2D(2)(tf.keras.layers.ReLU()(x))
    norm = tf.keras.layers.BatchNormalization()
    binary = conv(filters=1, kernel_size=1, padding="valid")(norm(y))
    model = tf.keras.Model(x, [real, binary])
    others = norm.get_weights()[1:]
    norm.set_weights([np.where(np.arange(32) % 3, 1, -1), *others])
    with pytest.warns(UserWarning, match="real .QuantConv2D. stayed float"):
        report = converters.convert(model, inputs=None).report
    assert [layer.name for layer in report.audit.converted] == ["binary"]
    assert [layer.name for layer in report.audit.stayed_float] == ["real"]


@pytest.mark.parametrize("order", [(4, 2, 0, 1, 3), (1, 0, 3, 2, 4)])
def test_merged_layers_are_found_in_any_order(order):
    x = tf.keras.Input((4, 4, 32))
    signs = lq.quantizers.SteSign()(x)
    widths = [32, 64, 32, 64, 32]
    parts = [
        conv(
            filters=width,
            kernel_size=1,
            padding="valid",
            input_quantizer=lq.quantizers.NoOp(precision=1),
            name=f"part_{index}",
        )(signs)
        for index, width in enumerate(widths)
    ]
    y = tf.keras.layers.Concatenate()([parts[index] for index in order])
    audit = converters.convert(tf.keras.Model(x, y), inputs=None).report.audit
    assert audit.operators["LceBconv2d"] == 1 and not audit.stayed_float
    (operator,) = audit.binary
    assert sorted(operator.layers) == [f"part_{index}" for index in range(5)]
    assert operator.num_bytes == operator.predicted_bytes


def test_a_file_of_other_weights_is_told_from_one_that_stayed_float():
    content = converters.convert(one_layer(conv()), inputs=None).content
    other = one_layer(conv(kernel_initializer="ones"))
    (layer,) = converters.audit(other, content).layers
    assert layer.operator is None and "no operator of the file holds" in layer.reason
    assert "convert it once more" in layer.fix
    with pytest.raises(ValueError, match="No binary operator of the file holds"):
        converters.profile(content, model=other, seconds=0.1)
