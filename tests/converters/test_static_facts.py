"""What Keras knows of a model before it runs need not be so, or be all.

Types of inputs that are no floats, sizes that are not known, outputs without an axis
for the batch, dictionaries: what Larq Compute Engine converts rightly is converted, and
the rest is refused by the name of the layer.
"""

import re
import warnings

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.rewrites import REWRITES
from converters.runtime import TfliteFile

from .conftest import conv
from .small_models import train

layers = tf.keras.layers
SIGNS = {
    "input_quantizer": "ste_sign",
    "kernel_quantizer": "ste_sign",
    "use_bias": False,
}


def slow(*values, **options):
    return pytest.param(*values, marks=pytest.mark.slow, **options)


def binary(x, filters=16, **options):
    x = lq.layers.QuantConv2D(filters, 3, **{**SIGNS, **options})(x)
    return layers.BatchNormalization()(x)


def pooled(x):
    return layers.GlobalAveragePooling2D()(x)


def built(inputs, outputs):
    model = tf.keras.Model(inputs, outputs)
    train(model)
    return model


def image(**options):
    return tf.keras.Input((7, 7, 8), **options)


def noise(*shape, samples=6, seed=0):
    shape = shape or (7, 7, 8)
    return np.random.default_rng(seed).normal(size=(samples, *shape)).astype("f4")


def assert_equal(model, inputs, conversion, largest=1e-4):
    """The file answers as Keras does, to each sample alone."""
    interpreter = converters.Interpreter(conversion.content)
    arrays = (
        inputs
        if isinstance(inputs, dict)
        else dict.fromkeys([info.name for info in interpreter.inputs], inputs)
    )
    samples = len(next(iter(arrays.values())))
    for index in range(samples):
        one = {name: array[index : index + 1] for name, array in arrays.items()}
        given = one if isinstance(model.input, dict) else list(one.values())
        expected = tf.nest.flatten(model(given if len(one) > 1 else given[0]))
        received = interpreter.predict(one)
        received = list(received.values()) if len(expected) > 1 else [received]
        for ours, theirs in zip(expected, received, strict=True):
            ours = np.atleast_1d(np.asarray(ours, np.float64))
            assert ours.shape == theirs.shape
            scale = max(np.abs(ours).max(initial=0), 1e-30)
            assert np.abs(ours - theirs).max(initial=0) <= largest * scale


# Types of inputs.


def scaled(dtype):
    i = image(dtype=dtype)
    return built(i, pooled(binary(layers.Rescaling(1 / 50, -1)(i))))


def masked():
    i = image(dtype="bool")
    x = layers.Lambda(lambda x: tf.cast(x, tf.float32) - 0.4)(i)
    return built(i, pooled(binary(x)))


def embedded():
    i = tf.keras.Input((9,), dtype="int32")
    x = layers.Reshape((9, 1, 8))(layers.Embedding(40, 8)(i))
    return built(i, pooled(rows(x)))


def rows(x):
    x = lq.layers.QuantConv2D(16, (3, 1), **SIGNS)(x)
    return layers.BatchNormalization()(x)


def encoded(encoding=None):
    i = tf.keras.Input((1,), dtype="int64")
    x = (encoding or layers.Lambda(lambda x: tf.one_hot(x[:, 0], 12)))(i)
    x = layers.BatchNormalization()(layers.Dense(16)(x))
    return built(i, lq.layers.QuantDense(8, **SIGNS)(x))


def normalized():
    i = image(dtype="uint8")
    x = layers.Normalization(mean=40.0, variance=900.0)(i)
    return built(i, pooled(binary(x)))


def mixed(dtype):
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        i = image(dtype=dtype)
        x = layers.Rescaling(1 / 50, -1)(i)
        x = layers.Conv2D(8, 1)(x)
        return built(i, pooled(binary(x)))
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


TYPES = [
    pytest.param(lambda: scaled("uint8"), "uint8", id="uint8"),
    slow(lambda: scaled("int8"), "int8", id="int8"),
    pytest.param(lambda: scaled("int32"), "int32", id="int32"),
    slow(lambda: scaled("int64"), "int64", id="int64"),
    slow(lambda: scaled("int16"), "int16", id="int16"),
    pytest.param(lambda: scaled("uint16"), "int32", id="uint16"),
    slow(lambda: scaled("uint32"), "int64", id="uint32"),
    pytest.param(lambda: scaled("float64"), "float32", id="float64"),
    slow(lambda: scaled("float16"), "float32", id="float16"),
    pytest.param(masked, "bool", id="bool"),
    pytest.param(embedded, "int32", id="embedding"),
    slow(encoded, "int64", id="one_hot"),
    slow(normalized, "uint8", id="normalization"),
    slow(lambda: mixed("uint8"), "uint8", id="mixed_uint8"),
    slow(lambda: mixed("float64"), "float32", id="mixed_float64"),
]


def numbers(model, samples=6):
    """Returns inputs of the model's type."""
    tensor = model.inputs[0]
    shape, dtype = (samples, *tensor.shape[1:]), tensor.dtype.as_numpy_dtype
    most = 2 if dtype == np.bool_ else 12 if len(shape) == 2 else 100
    return np.random.default_rng(1).integers(0, most, shape).astype(dtype)


@pytest.mark.parametrize("make, dtype", TYPES)
def test_types_of_inputs(make, dtype):
    model = make()
    inputs = numbers(model)
    conversion = converters.convert(model, inputs=inputs)
    (info,) = conversion.report.audit.inputs
    assert info.dtype == dtype
    assert len(conversion.report.audit.converted) == 1
    if "mixed" not in str(model.layers[2].dtype_policy.name):
        stored = inputs.astype(dtype)
        assert_equal(model, {info.name: stored}, conversion)
        assert converters.verify(model, conversion.content, inputs).passed


def test_only_one_of_several_inputs_is_of_integers():
    i, j = image(), tf.keras.Input((4,), dtype="int32", name="code")
    x = layers.Add()([pooled(binary(i)), layers.Dense(16)(layers.Rescaling(0.1)(j))])
    model = built([i, j], x)
    inputs = {i.name: noise(), "code": np.arange(24).reshape(6, 4)}
    conversion = converters.convert(model, inputs=inputs)
    types = {info.name: info.dtype for info in conversion.report.audit.inputs}
    assert types == {i.name: np.float32, "code": np.int32}
    inputs["code"] = inputs["code"].astype(np.int32)
    assert_equal(model, inputs, conversion)


def test_integer_inputs_in_int8():
    i = image(dtype="uint8")
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 50, -1)(i))
    model = built(i, layers.Dense(4)(pooled(binary(x))))
    inputs = numbers(model, 32)
    conversion = converters.convert(model, inputs=inputs, calibration=inputs)
    assert conversion.report.verification.int8
    assert conversion.report.verification.steps.passed
    ends = converters.convert(model, inputs=inputs, calibration=inputs, int8_io=True)
    interpreter = converters.Interpreter(ends.content)
    assert [info.dtype for info in interpreter.inputs] == [np.uint8]
    assert [info.dtype for info in interpreter.outputs] == [np.int8]


def test_integers_inside_make_no_file_of_8_bits():
    """A cast to int8 is no quantization."""
    i = image()
    x = pooled(binary(i))
    code = layers.Lambda(lambda x: tf.cast(tf.argmax(x, 1), tf.int8))(x)
    model = built(i, [x, code])
    verification = converters.convert(model, inputs=noise()).report.verification
    assert not verification.int8 and verification.layers


def test_integer_inputs_are_packaged_and_profiled(tmp_path):
    model = scaled("uint8")
    inputs = numbers(model)
    conversion = converters.convert(model, inputs=inputs)
    folder = converters.package(
        conversion, tmp_path / "package", inputs=inputs, model=model
    )
    assert converters.replay(folder).passed
    assert converters.profile(conversion.content, seconds=0.1).operators


@pytest.mark.parametrize(
    "given, said",
    [
        (lambda x: x.astype("f4"), "is uint8. Received: float32.*astype.'uint8'"),
        (lambda x: x.astype("i8") * 10, "from 0 to 990, which that type does not hold"),
        (lambda x: x.astype("i8") - 1, "from -1 to"),
        (lambda x: x.astype("c8"), "array of numbers"),
        (lambda x: x[:, 1:], r"is \('samples', 7, 7, 8\)"),
    ],
)
def test_wrong_inputs_are_refused_before_the_work(given, said):
    model = scaled("uint8")
    inputs, stages = numbers(model), []
    for role in (
        {"inputs": given(inputs)},
        {"inputs": None, "calibration": given(inputs)},
    ):
        with pytest.raises((ValueError, TypeError), match=said):
            converters.convert(model, progress=stages.append, **role)
    assert not stages


@pytest.mark.parametrize(
    "inputs, labels, said",
    [
        (noise() * 255, [9] * 6, "classes from 0 to 3"),
        (noise().astype("u1"), None, "is float32. Received: uint8. Scale it"),
        ([noise(), noise()], None, "2 arrays"),
        (noise(), [0] * 5, "6 inputs need as many labels"),
        (noise(), np.eye(6), "one-hot"),
        (noise(), [0.5] * 6, "integer classes"),
        (noise() * np.nan, None, "not finite"),
        (None, [0] * 6, "Labels need the inputs"),
    ],
)
def test_all_that_is_given_is_looked_at_first(inputs, labels, said):
    i, stages = image(), []
    model = built(i, layers.Dense(4)(pooled(binary(i))))
    with pytest.raises(ValueError, match=said):
        converters.convert(model, inputs=inputs, labels=labels, progress=stages.append)
    assert not stages


@pytest.mark.parametrize(
    "end",
    [
        lambda x: x,
        lambda x: tf.math.top_k(layers.Dense(4)(pooled(x)), 2).indices,
        lambda x: layers.Dense(4)(pooled(x)) > 0,
    ],
    ids=["images", "integers", "booleans"],
)
def test_labels_of_no_scores_are_refused_first(end):
    i, stages = image(), []
    model = built(i, end(binary(i)))
    with pytest.raises(ValueError, match="Labels need class scores"):
        converters.convert(
            model, inputs=noise(), labels=[0] * 6, progress=stages.append
        )
    assert not stages


# Sizes that Keras does not know, and outputs without an axis for the batch.


def boxes(x, filters=12):
    x = layers.Conv2D(filters, 3, padding="same")(x)
    return tf.reshape(x, [tf.shape(x)[0], -1, 4])


def joined_boxes(x):
    in_layer = layers.Lambda(lambda x: tf.reshape(x, [tf.shape(x)[0], -1, 4]))
    parts = [layers.Conv2D(filters, 3)(x) for filters in (12, 8)]
    return layers.Concatenate(axis=1)([in_layer(part) for part in parts])


def descriptor(x):
    return tf.reshape(x, [tf.shape(x)[0], -1])


def of_unknown_rank(x):
    def flat(x):
        sizes = [tf.shape(x)[:1], tf.constant([-1])[: tf.shape(x)[1]]]
        return tf.reshape(x, tf.concat(sizes, 0))

    return layers.Lambda(flat)(x)


def binary_after_unknown(x):
    x = tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1], 5, 16])
    return pooled(binary(x))


def selected(x):
    x = layers.Dense(9)(pooled(x))
    return list(tf.math.top_k(x, 3))


def suppressed(x, most=5, overlap=0.99):
    x = tf.reshape(layers.Conv2D(5, 3)(x), [-1, 5])
    kept = tf.image.non_max_suppression(x[:, :4], x[:, 4], most, overlap)
    return tf.gather(x[:, :4], kept)


def padded_suppression(x):
    x = tf.reshape(layers.Conv2D(5, 3)(x), [-1, 5])
    kept, count = tf.image.non_max_suppression_padded(
        x[:, :4], x[:, 4], 6, pad_to_max_output_size=True
    )
    return [tf.gather(x[:, :4], kept), count]


def by_chance(x):
    x = pooled(x)
    return tf.boolean_mask(x, x > 0)


SIZES = {
    "boxes": boxes,
    "joined_boxes": joined_boxes,
    "descriptor": descriptor,
    "unknown_rank": of_unknown_rank,
    "binary_after_unknown": binary_after_unknown,
    "split": lambda x: tf.split(boxes(x), [30, -1], axis=1),
    "strided": lambda x: x[:, tf.shape(x)[1] // 2 :],
    "transposed": lambda x: tf.transpose(boxes(x), [0, 2, 1]),
    "condition": lambda x: layers.Lambda(
        lambda x: tf.cond(tf.reduce_max(x) > -1e9, lambda: x * 2.0, lambda: x * 3.0)
    )(x),
    "loop": lambda x: layers.Lambda(
        lambda x: tf.while_loop(
            lambda k, _: k < 3, lambda k, x: (k + 1, x * 1.5), (tf.constant(0), x)
        )[1]
    )(x),
    "map": lambda x: layers.Lambda(lambda x: tf.map_fn(lambda y: y * 2, x))(pooled(x)),
}
SIZES_UNDER_SLOW = (
    "condition",
    "joined_boxes",
    "descriptor",
    "split",
    "transposed",
    "strided",
    "map",
)
BATCHLESS = {
    "top_k": selected,
    "suppressed": suppressed,
    "padded_suppression": padded_suppression,
    "by_chance": by_chance,
    "mean_over_batch": lambda x: tf.reduce_mean(pooled(x), axis=0),
    "argmax_over_batch": lambda x: tf.argmax(layers.Dense(9)(pooled(x)), axis=0),
    "number": lambda x: tf.reduce_sum(layers.Dense(1)(pooled(x))),
    "unique": lambda x: tf.unique(tf.argmax(layers.Dense(9)(pooled(x)), 1))[0],
    "shape": lambda x: [layers.Dense(3)(pooled(x)), tf.shape(x)],
    "without_batch": lambda x: [layers.Dense(3)(pooled(x)), boxes(x)[0]],
}
BATCHLESS_UNDER_SLOW = (
    "argmax_over_batch",
    "mean_over_batch",
    "padded_suppression",
    "shape",
    "unique",
)


def rows_of(table, under_slow):
    return [
        slow(entry, id=name) if name in under_slow else pytest.param(entry, id=name)
        for name, entry in table.items()
    ]


@pytest.mark.parametrize(
    "outputs",
    rows_of(SIZES, SIZES_UNDER_SLOW) + rows_of(BATCHLESS, BATCHLESS_UNDER_SLOW),
)
def test_sizes_that_keras_does_not_know(outputs):
    i = image()
    model, inputs = built(i, outputs(binary(i))), noise()
    conversion = converters.convert(model, inputs=inputs)
    verification = conversion.report.verification
    assert verification.samples == 6 and not verification.first_mismatch
    assert verification.output_difference < 1e-5
    assert_equal(model, inputs, conversion)
    assert converters.verify(model, conversion.content, inputs).passed


def test_a_wrong_file_of_outputs_without_a_batch_is_found():
    """Sample by sample the comparison is as sharp."""
    i = image()
    model = built(i, suppressed(binary(i)))
    content = converters.convert(model, inputs=noise()).content
    convolution = next(x for x in model.layers if type(x) is layers.Conv2D)
    convolution.set_weights([-weight for weight in convolution.get_weights()])
    assert not converters.verify(model, content, noise()).passed


def test_samples_that_mix_are_said():
    i = image()
    x = pooled(binary(i))
    x = layers.Lambda(lambda x: x - 0.5 * tf.reduce_mean(x, 0, True), name="mean")(x)
    with pytest.warns(
        UserWarning, match="Output 'mean' .* the other inputs of a batch"
    ):
        conversion = converters.convert(built(i, x), inputs=noise())
    assert conversion.report.verification.passed


def test_a_model_that_is_wrong_in_batches_alone_is_compared_without_them():
    """As TensorFlow 2.19 is in convolutions with unequal strides."""
    i = image()
    x = pooled(binary(i))
    first = layers.Lambda(lambda x: tf.cast(tf.range(tf.shape(x)[0]) < 1, x.dtype))(x)
    model = built(i, x * first[:, None] + 3 * x)
    with pytest.warns(UserWarning, match="other outputs for inputs in a batch"):
        conversion = converters.convert(model, inputs=noise())
    assert conversion.report.verification.passed
    assert not conversion.report.verification.first_mismatch


def test_unequal_strides_on_a_narrow_map():
    """The file is right where TensorFlow 2.19 is not for more than one input."""
    i = tf.keras.Input((2, 1, 4))
    x = layers.Conv2D(4, 2, strides=(1, 2), padding="same", name="narrow")(i)
    model = built(i, binary(x, padding="same"))
    kernel, bias = model.get_layer("narrow").get_weights()
    inputs = np.random.default_rng(5).normal(size=(8, 2, 1, 4)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* inputs in a batch")
        conversion = converters.convert(model, inputs=inputs)
    assert conversion.report.verification.passed
    # One pixel is added below and one to the right.
    padded = np.pad(inputs.astype(np.float64), ((0, 0), (0, 1), (0, 1), (0, 0)))
    expected = [
        np.einsum("nhwc,hwcd->nd", padded[:, h : h + 2], kernel) + bias for h in (0, 1)
    ]
    early = tf.keras.Model(i, x)
    for index in range(8):
        np.testing.assert_allclose(
            early(inputs[index : index + 1])[0, :, 0],
            np.stack(expected, 1)[index],
            atol=1e-5,
        )


# What cannot be converted, by the name of the layer.


def recurrent(layer):
    i = image()
    x = layers.Reshape((25, 16))(binary(i))
    return built(i, layer(x))


REFUSED = {
    "lstm": (lambda: recurrent(layers.LSTM(4, name="memory")), r"memory .*unroll=True"),
    "gru": (lambda: recurrent(layers.GRU(4, name="memory")), r"memory .*unroll=True"),
    "simple": (
        lambda: recurrent(layers.SimpleRNN(4, name="memory")),
        r"memory .*unroll=True",
    ),
    "both_ways": (
        lambda: recurrent(layers.Bidirectional(layers.LSTM(4), name="memory")),
        r"memory .Bidirectional.*unroll=True",
    ),
    "stacked": (
        lambda: recurrent(
            layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], name="memory")
        ),
        r"memory .*unroll=True",
    ),
    "strings": (
        lambda: built(i := image(), tf.strings.as_string(pooled(binary(i)))),
        "Output 'tf.strings.as_string' is a tensor of string",
    ),
    "unknown_operator": (
        lambda: built(
            i := image(),
            layers.Lambda(lambda x: tf.math.erfinv(tf.tanh(x)), name="inverse")(
                pooled(binary(i))
            ),
        ),
        "Erfinv .*inverse",
    ),
    "unsigned_64_bits": (
        lambda: built(
            i := image(dtype="uint64"), pooled(binary(tf.cast(i, tf.float32)))
        ),
        "is uint64, which no interpreter takes",
    ),
    "no_elements": (
        lambda: built(
            i := image(),
            [(x := pooled(binary(i))), layers.Lambda(lambda x: x[:, :0])(x)],
        ),
        "Output 'lambda' is a tensor without elements",
    ),
    "chance": (
        lambda: built(
            i := image(),
            layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x)), name="dice")(
                pooled(binary(i))
            ),
        ),
        "Output 'dice' .* differs between calls",
    ),
    "lookup": (
        lambda: built(
            i := tf.keras.Input((7, 7, 8), dtype="int64"),
            pooled(
                binary(
                    tf.cast(
                        layers.IntegerLookup(vocabulary=[1, 2], name="table")(i),
                        "float32",
                    )
                )
            ),
        ),
        "table computes with LookupTableFindV2",
    ),
    "category_encoding": (
        lambda: encoded(layers.CategoryEncoding(12, "one_hot", name="classes")),
        "classes counts integers .DenseBincount",
    ),
    # TensorFlow Lite fills up with the first box.
    "number_of_boxes": (
        lambda: built(i := image(), suppressed(binary(i), 9, 0.05)),
        "pad_to_max_output_size=True",
    ),
    "wide_variables": (
        lambda: built(
            i := image(),
            layers.Dense(3, dtype="float64", name="wide")(pooled(binary(i))),
        ),
        "The variables of wide are not float32",
    ),
}


@pytest.mark.parametrize(
    "make, said",
    [
        slow(*entry, id=name)
        if name in ("gru", "simple", "both_ways", "stacked")
        else pytest.param(*entry, id=name)
        for name, entry in REFUSED.items()
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(make, said):
    model = make()
    inputs = noise() if model.inputs[0].dtype.is_floating else numbers(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(converters.ConversionError, match=said):
            converters.convert(model, inputs=inputs)


@pytest.mark.slow
def test_the_cure_of_recurrent_layers_helps():
    model = recurrent(layers.LSTM(4, unroll=True))
    assert_equal(model, noise(), converters.convert(model, inputs=noise()))


def test_what_nobody_foresaw_is_refused_by_its_place(monkeypatch):
    def broken(editor):
        list(editor.nodes("Conv2D"))
        raise KeyError("of nothing")

    from converters import rewrites

    monkeypatch.setitem(rewrites.REWRITES, "fuse_constant_adds", broken)
    i = image()
    model = built(i, pooled(binary(i)))
    said = "'fuse_constant_adds' failed at Conv2D .* quant_conv2d.*KeyError: 'of noth"
    with pytest.raises(converters.ConversionError, match=said) as caught:
        converters.convert(model, inputs=noise())
    assert isinstance(caught.value.__cause__, KeyError)
    rest = [name for name in rewrites.REWRITES if name != "fuse_constant_adds"]
    assert converters.convert(model, inputs=noise(), rewrites=rest).content


# Constants that are single numbers.


class LearnedScale(layers.Layer):
    """A quantizer with one scale that is learned."""

    precision = 1

    def build(self, input_shape):
        self.scale = self.add_weight("scale", (), initializer="ones")
        super().build(input_shape)

    def call(self, x):
        return self.scale * lq.math.sign(x)


QUANTIZERS = {
    "number_before": lambda: lambda w: 0.5 * lq.math.sign(w),
    "number_after": lambda: lambda w: lq.math.sign(w) * 0.5,
    "learned": LearnedScale,
}


@pytest.mark.parametrize("rewrites", [(), tuple(REWRITES)])
@pytest.mark.parametrize("quantizer", QUANTIZERS.values(), ids=QUANTIZERS)
def test_scales_of_kernels_may_be_numbers(quantizer, rewrites):
    i = image()
    model = built(i, pooled(binary(i, kernel_quantizer=quantizer())))
    conversion = converters.convert(model, inputs=noise(), rewrites=rewrites)
    assert len(conversion.report.audit.converted) == 1
    assert_equal(model, noise(), conversion)


SHARED = [
    ((7, 7, 16), [1, 2, 3]),
    ((7, 7, 16), [3]),
    ((7, 7, 16), [1]),
    ((7, 7, 16), [2]),
    ((7, 7, 16), [1, 3]),
    ((7, 7, 16), [1, 2]),
    ((7, 7, 16), None),
    ((1, 1, 16), [3]),
    ((7, 16), [1, 2]),
    ((7, 16), [2]),
    ((16,), [1]),
    ((16,), None),
]
SINGLE = [((7, 7, 16), [1, 2, 3]), ((1, 1, 16), [3]), ((7, 16), [1, 2]), ((16,), [1])]


def sloped(shape, axes):
    i = tf.keras.Input(shape)
    x = lq.layers.QuantDense(16, **SIGNS)(i)
    x = layers.PReLU(shared_axes=axes, name="slopes")(layers.BatchNormalization()(x))
    return built(i, [x, layers.Dense(3)(x)])


@pytest.mark.parametrize(
    "shape, axes",
    [entry if entry in SINGLE else slow(*entry) for entry in SHARED],
    ids=str,
)
def test_slopes_of_prelu_shared_in_any_way(shape, axes):
    model, inputs = sloped(shape, axes), noise(*shape)
    content = converters.convert(model, inputs=None).content
    expected = model.predict(inputs, verbose=0)
    for backend in ("lce", "delegate"):
        received = converters.Interpreter(content, backend=backend).predict(inputs)
        for ours, theirs in zip(expected, received.values()):
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)
    file = TfliteFile(content)
    for operator in file.operators:
        if operator.name == "PRELU":
            channels = file.shape(operator.inputs[0])[-1]
            assert np.prod(file.shape(operator.inputs[1])) > 1 or channels == 1


def test_one_slope_is_refused_where_it_is_not_repeated():
    with pytest.raises(converters.ConversionError, match="slopes has one slope for 16"):
        converters.convert(sloped(*SINGLE[0]), inputs=None, rewrites=None)


def test_one_prelu_serves_layers_of_other_sizes():
    shared = layers.PReLU(shared_axes=[1, 2, 3])
    i = image()
    x = shared(binary(i))
    model = built(i, pooled(shared(binary(x, 24))))
    assert_equal(model, noise(), converters.convert(model, inputs=noise()))


def test_one_tensor_may_be_two_outputs():
    i = image()
    x = pooled(binary(i))
    model = built(i, {"one": x, "other": x})
    conversion = converters.convert(model, inputs=noise())
    received = converters.Interpreter(conversion.content).predict(noise())
    np.testing.assert_array_equal(received["one"], received["other"])


# Dictionaries.


def pair(inputs, outputs):
    """Two inputs and outputs of equal shapes, their names against the alphabet."""
    i, j = image(name="zz"), image(name="aa")
    a = pooled(binary(i, name="z"))
    b = pooled(binary(layers.Add()([i, layers.Rescaling(-2.0)(j)]), name="b"))
    return built(inputs(i, j), outputs(a, b))


def as_list(a, b):
    return [a, b]


@pytest.mark.parametrize(
    "inputs, outputs, names",
    [
        (lambda a, b: {"p": a, "q": b}, lambda a, b: {"one": a, "two": b}, None),
        (lambda a, b: {"q": a, "p": b}, lambda a, b: {"two": a, "one": b}, None),
        slow(as_list, lambda a, b: {"two": a, "one": b}, None),
        slow(lambda a, b: {"q": a, "p": b}, as_list, None),
        slow(as_list, as_list, None),
        slow(lambda a, b: [a, {"x": b}], lambda a, b: {"u": [b], "v": a}, None),
    ],
)
def test_dictionaries_keep_their_keys(inputs, outputs, names):
    model = pair(inputs, outputs)
    given = inputs(noise(seed=1), noise(seed=2))
    expected = model.predict(given, verbose=0)
    conversion = converters.convert(model, inputs=given)
    interpreter = converters.Interpreter(conversion.content)
    if isinstance(given, dict):
        assert {info.name for info in interpreter.inputs} == set(given)
        fed = given
    else:
        fed = dict(zip(("zz", "aa"), (noise(seed=1), noise(seed=2))))
    received = interpreter.predict(fed)
    if isinstance(expected, dict) and not isinstance(
        next(iter(expected.values())), list
    ):
        assert set(received) == set(expected)
        for name, ours in expected.items():
            np.testing.assert_allclose(received[name], ours, rtol=0, atol=1e-4)
    else:
        for ours, theirs in zip(tf.nest.flatten(expected), received.values()):
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)
    assert converters.verify(model, conversion.content, given).passed


def test_wrong_keys_are_refused_before_the_work():
    model, stages = pair(lambda a, b: {"p": a, "q": b}, as_list), []
    for names in (("p", "r"), ("zz", "aa")):
        given = dict.fromkeys(names, noise())
        with pytest.raises(ValueError, match=r"The inputs are \['p', 'q'\]"):
            converters.convert(model, inputs=given, progress=stages.append)
    assert not stages


def test_a_file_of_plain_larq_compute_engine_is_verified():
    """Its names are those of Keras's layers, not the keys."""
    import larq_compute_engine as lce

    model = pair(lambda a, b: {"q": a, "p": b}, lambda a, b: {"two": a, "one": b})
    given = {"q": noise(seed=1), "p": noise(seed=2)}
    assert converters.verify(model, lce.convert_keras_model(model), given).passed


# A model takes its inputs as Keras does, in any structure.
DEEP_INPUTS = {
    "dictionary of dictionaries": lambda a, b: {"image": {"l": a, "r": b}},
    "dictionary of lists": lambda a, b: {"image": [a, b]},
    "keys that are other names": lambda a, b: {"b": {"b": a, "a": b}},
    "list of dictionaries": lambda a, b: [{"z": a}, {"y": b}],
    "list of lists": lambda a, b: [[b], a],
}


@pytest.mark.parametrize("structure", DEEP_INPUTS.values(), ids=DEEP_INPUTS)
def test_inputs_in_structures_are_taken_as_keras_takes_them(structure):
    tf.keras.utils.set_random_seed(0)
    a, b = (tf.keras.Input((6, 6, 4), name=name) for name in "ab")
    x = tf.keras.layers.BatchNormalization()(conv()(a - 2 * b))
    model = tf.keras.Model(structure(a, b), x)
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(2, 3, 6, 6, 4)).astype(np.float32)
    deep = structure(left, right)
    flat = tf.nest.flatten(deep)
    expected = model.predict(flat, verbose=0)
    content = converters.convert(model, inputs=deep).content
    assert converters.verify(model, content, flat).passed
    found = converters.Interpreter(content).predict({"a": left, "b": right})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    by_name = converters.verify(model, content, {"a": left, "b": right})
    assert by_name.passed


@pytest.mark.parametrize(
    "structure",
    [lambda a, b: {"a": (b,), "b": {"c": a}}, lambda a, b: {"z": [a], "y": b}],
    ids=["two structures", "one structure"],
)
def test_inputs_that_keras_itself_cannot_take_are_refused(structure):
    a, b = (tf.keras.Input((6, 6, 4), name=name) for name in "ab")
    model = tf.keras.Model(structure(a, b), conv()(a - b))
    zeros = np.zeros((2, 6, 6, 4), np.float32)
    for given in (structure(zeros, zeros), [zeros, zeros], {"a": zeros, "b": zeros}):
        with pytest.raises(Exception, match="shape"):
            model(given)
    with pytest.raises(converters.ConversionError, match="Keras cannot call it"):
        converters.convert(model, inputs=None)


def of_a_volume(*activation):
    """A model with an activation of what a convolution of volumes returns."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((4, 5, 6, 3)),
            layers.Conv3D(4, 3, padding="same"),
            *activation,
            layers.Reshape((4, 5, 24)),
            conv(),
        ]
    )


@pytest.mark.parametrize("axes", [[1, 2, 3, 4], [1, 2, 3], [4], None])
def test_slopes_for_volumes_are_refused_with_the_cure(axes):
    start = tf.keras.initializers.Constant(0.3)
    model = of_a_volume(tf.keras.layers.PReLU(start, shared_axes=axes, name="slopes"))
    message = r"^slopes \(PReLU\) has slopes for more than 4 axes, .* LeakyReLU\.$"
    with pytest.raises(converters.ConversionError) as refusal:
        converters.convert(model, inputs=None)
    assert re.match(message, str(refusal.value).splitlines()[0])
    assert "which cannot be converted" not in str(refusal.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [tf.keras.layers.LeakyReLU(0.3)],
        lambda: [
            tf.keras.layers.Reshape((20, 6, 4)),
            tf.keras.layers.PReLU(
                tf.keras.initializers.Constant(0.3), shared_axes=[1, 2]
            ),
            tf.keras.layers.Reshape((4, 5, 6, 4)),
        ],
    ],
    ids=["LeakyReLU", "Reshape"],
)
def test_the_cures_of_slopes_for_volumes_convert(make):
    tf.keras.utils.set_random_seed(0)
    model = of_a_volume(*make())
    inputs = np.random.default_rng(0).normal(size=(4, 4, 5, 6, 3)).astype(np.float32)
    assert converters.convert(model, inputs=inputs).report.verification.passed


@pytest.mark.parametrize(
    "kept, given",
    [
        ("float16", np.float32),
        ("float64", np.float32),
        ("uint16", np.int32),
        ("uint32", np.int64),
        ("int16", np.int16),
    ],
)
def test_a_file_takes_inputs_of_the_types_that_convert_says(kept, given):
    inputs = tf.keras.Input((6, 6, 4), dtype=kept)
    model = tf.keras.Model(inputs, conv()(tf.cast(inputs, tf.float32) - 1.5))
    images = np.random.default_rng(0).integers(0, 4, (3, 6, 6, 4)).astype(kept)
    interpreter = converters.Interpreter(
        converters.convert(model, inputs=images).content
    )
    assert interpreter.inputs[0].dtype == given
    expected = model.predict(images, verbose=0)
    found = interpreter.predict(images.astype(given))
    np.testing.assert_allclose(found, expected, atol=1e-4)
