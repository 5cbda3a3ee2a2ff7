"""Verification: outputs may differ only where a value before a sign is near zero."""

import dataclasses

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx
from converters import model_arrays
from converters.comparison import SIGN_TOLERANCE, SignCounter, relative_to_rms

from ..conftest import conv, noise, one_layer


@pytest.fixture(scope="module")
def converted(trained):
    model, images, labels = trained
    return converters.convert(model, inputs=images, labels=labels)


def test_a_trained_model_and_its_file_agree_on_all_test_images(trained, converted):
    model, images, labels = trained
    result = converted.report.verification
    assert result.passed and result.samples == len(images) == 250
    assert not result.untraced and result.output_difference < 1e-5
    assert len(result.layers) == 6
    assert all(
        layer.unexplained_flips == 0 and layer.farthest < 1e-5
        for layer in result.layers
    )
    assert result.median_difference < 1e-6
    assert result.agreement >= 0.995
    # Every output that differs has a value near zero: no chosen seed makes this true.
    assert result.mismatched_near_zero == result.mismatched
    keras = (model.predict(images, verbose=0).argmax(axis=1) == labels).mean()
    assert result.keras_accuracy == pytest.approx(keras)
    assert abs(result.tflite_accuracy - keras) <= 1 - result.agreement
    assert len(converted.report.audit.converted) == 6
    assert result.milliseconds > 0


def test_a_flipped_filter_is_noticed(trained, converted):
    model, images, _ = trained
    from converters.runtime import TfliteFile

    file = TfliteFile(converted.content)
    operator = next(op for op in file.operators if op.name == "LceBconv2d")
    packed = file.data(operator.inputs[1]).tobytes()
    flipped = (~np.frombuffer(packed, np.uint8)).tobytes()
    assert converted.content.count(packed) == 1
    content = converted.content.replace(packed, flipped)
    assert not converters.verify(model, content, images).passed
    # Every channel is flipped, which the audit ascribes to the converter.
    assert len(converters.audit(model, content).converted) == 6
    half = packed[: len(packed) // 2] + flipped[len(packed) // 2 :]
    spoilt = bytearray(half)
    spoilt[0] ^= 1
    content = converted.content.replace(packed, bytes(spoilt))
    assert len(converters.audit(model, content).converted) == 5


def counted(values, flipped):
    """The count for one input where the signs in some places are flipped."""
    counter = SignCounter()
    counter.add(values.size, relative_to_rms(values)[0, flipped])
    return counter


def test_near_zero_is_relative_to_the_root_mean_square():
    values = np.array([2e-5, -1e-5, 4.0, -2.0, 2.0, -4.0], np.float32)
    scale = np.sqrt((values.astype(np.float64) ** 2).mean())
    flipped = np.array([True, True, False, False, False, False])
    layer = counted(values, flipped)
    assert dataclasses.astuple(layer)[:3] == (6, 2, 0)
    assert layer.farthest == pytest.approx(2e-5 / scale, rel=1e-5)
    assert counted(1024 * values, flipped) == layer
    wrong = counted(values, np.array([False, True, False, True, False, False]))
    assert (wrong.flipped_near_zero, wrong.unexplained_flips) == (1, 1)
    nothing = counted(values, np.zeros(6, bool))
    assert dataclasses.astuple(nothing) == (6, 0, 0, 0.0)
    assert counted(np.full(6, np.nan, np.float32), flipped).unexplained_flips == 2


def test_each_input_has_a_scale_of_its_own():
    """A bright input does not make the values of a dark one near zero."""
    values = np.array([[1e-3, 2e-3], [1e3, 1e-3]], np.float32)
    relative = relative_to_rms(values, samples=2)
    assert (relative <= SIGN_TOLERANCE).tolist() == [[False, False], [False, True]]
    assert (relative_to_rms(values) <= SIGN_TOLERANCE).sum() == 3
    # A dense layer on sequences has more rows than there are inputs.
    rows = values.reshape(4, 1)
    np.testing.assert_array_equal(relative_to_rms(rows, samples=2), relative)


def two_layers(after=()):
    """The second sign depends on values that the first convolution computes."""
    x = inputs = tf.keras.Input((4, 4, 32))
    x = conv(name="first")(x)
    # Sums of +1 and -1 are even: without an offset many are zero.
    offset = tf.keras.initializers.Constant(0.3)
    x = tf.keras.layers.BatchNormalization(name="norm", beta_initializer=offset)(x)
    for layer in after or [conv(name="second")]:
        x = layer(x)
    return tf.keras.Model(inputs, tf.keras.layers.Flatten()(x))


def after_a_shuffle():
    return [
        lq.quantizers.SteSign(name="second"),
        zx.layers.ChannelShuffle(2),
        conv(input_quantizer=lq.quantizers.NoOp(precision=1)),
    ]


@pytest.mark.parametrize(
    "after",
    [
        lambda: [conv(name="second")],
        # These signs have another place or value in the file than in the model.
        lambda: [conv(name="second", pad_values=-1.0), conv(name="third")],
        after_a_shuffle,
        lambda: [
            tf.keras.layers.Flatten(),
            lq.layers.QuantDense(
                8,
                name="second",
                input_quantizer="ste_sign",
                kernel_quantizer="ste_sign",
            ),
        ],
    ],
    ids=["plain", "negated", "shuffled", "dense"],
)
def test_a_flip_near_zero_changes_the_outputs_and_is_no_fault(after):
    """The threshold of the file's model is off by a value near zero."""
    tf.keras.utils.set_random_seed(0)
    model = two_layers(after())
    images = noise(model, 5)
    inner = tf.keras.Model(model.input, model.get_layer("norm").output)
    values = inner.predict(images, verbose=0)
    # Moves all values by a hair past the one that lies nearest to zero.
    nearest = np.abs(values).min()
    scale = np.sqrt((values**2).mean())
    for share, passed in ((0.5e-5, True), (1e-3, False)):
        norm = model.get_layer("norm")
        start = norm.get_weights()
        channel = np.unravel_index(np.abs(values).argmin(), values.shape)[-1]
        sign = np.sign(values.flat[np.abs(values).argmin()])
        # In Keras the nearest value lies just on one side, in the file on the other.
        beta = start[1].copy()
        beta[channel] -= sign * (nearest + share * scale / 2)
        norm.set_weights([start[0], beta, *start[2:]])
        content = converters.convert(model, inputs=images).content
        beta[channel] += sign * share * scale
        norm.set_weights([start[0], beta, *start[2:]])
        result = converters.verify(model, content, images)
        norm.set_weights(start)
        second = result.layers[1]
        assert result.layers[0].flipped_near_zero == 0 and not result.untraced
        assert second.flipped_near_zero + second.unexplained_flips > 0
        assert result.mismatched > 0
        assert result.output_difference < 1e-6
        assert result.passed == passed == (second.unexplained_flips == 0)
        assert result.first_mismatch == (None if passed else second.layer)
        if passed:
            assert result.mismatched_near_zero == result.mismatched


def test_the_first_layer_that_differs_is_named(trained, converted):
    model, images, _ = trained
    from converters.runtime import TfliteFile

    file = TfliteFile(converted.content)
    # The bits of the filter of a layer in the middle: one of them flipped.
    layer = converted.report.audit.layers[2]
    packed = file.data(file.operators[layer.operator].inputs[1]).tobytes()
    assert converted.content.count(packed) == 1
    spoilt = bytes([packed[0] ^ 1]) + packed[1:]
    content = converted.content.replace(packed, spoilt)
    result = converters.verify(model, content, images[:50])
    names = [entry.layer for entry in result.layers]
    assert names == [entry.name for entry in converted.report.audit.layers]
    flips = [entry.unexplained_flips > 0 for entry in result.layers]
    assert flips[:4] == [False, False, False, True]
    assert result.first_mismatch == names[3] and not result.passed
    # The fault lies before that sign, in the layer before.
    between = f"between the layer {names[2]} and the sign of the layer {names[3]}"
    assert f"the two differ {between}" in result.verdict and not result


def two_inputs():
    tf.keras.utils.set_random_seed(0)
    # The converter orders the inputs by name, Keras as given.
    second = tf.keras.Input((8, 8, 32), name="b")
    first = tf.keras.Input((8, 8, 32), name="a")
    x = conv(name="one")(second)
    y = conv(name="two")(first)
    outputs = [tf.keras.layers.Flatten(name="sum")(x + 2 * y), conv(name="three")(x)]
    return tf.keras.Model([second, first], outputs)


def test_several_inputs_and_outputs_are_compared_by_name():
    model = two_inputs()
    arrays = [
        np.random.default_rng(seed).normal(size=(6, 8, 8, 32)).astype(np.float32)
        for seed in (0, 1)
    ]
    report = converters.convert(model, inputs=arrays).report
    assert report.verification.largest_difference < 1e-5
    assert len(report.audit.converted) == 3
    content = converters.convert(model, inputs=None).content
    by_name = {"a": arrays[1], "b": arrays[0]}
    assert converters.verify(model, content, by_name).passed
    result = converters.Interpreter(content).predict(by_name)
    assert set(result) == set(model.output_names)


@pytest.mark.parametrize(
    "ours, theirs, expected",
    [
        (["input_2"], ["image"], ["input_2"]),
        # The same names are no matter of order.
        (["head_1", "head_2"], ["head_2", "head_1"], ["head_2", "head_1"]),
        (["input_3", "input_4"], ["input_1", "input_2"], ["input_3", "input_4"]),
        # The file of a model of two inputs in another order than they were made.
        (["input_12", "input_11"], ["input_2", "input_1"], ["input_12", "input_11"]),
        # Other converters order by text.
        (["input_11", "input_12"], ["input_10", "input_9"], ["input_12", "input_11"]),
        (["dense", "flatten_1"], ["flatten", "dense_7"], ["flatten_1", "dense"]),
        (["dense", "dense_1"], ["dense_2", "dense_3"], ["dense", "dense_1"]),
        # Unclear ones stay as they are.
        (["left", "right"], ["one", "two"], ["one", "two"]),
        (["input_1"], ["input_1", "input_2"], ["input_1", "input_2"]),
    ],
)
def test_names_that_differ_by_automatic_numbers_belong_together(ours, theirs, expected):
    from converters.verification.fitting import _matched

    assert list(_matched(ours, ours, theirs)) == expected


def test_a_model_that_was_built_again_is_compared():
    def build(branches):
        inputs = [tf.keras.Input((8, 8, 32)) for _ in range(branches)]
        x, *others = [
            tf.keras.layers.BatchNormalization(
                gamma_initializer=tf.keras.initializers.Constant(index + 1.0)
            )(conv(name=f"conv{index}")(x))
            for index, x in enumerate(inputs)
        ]
        outputs = [tf.keras.layers.Flatten()(y) for y in (x, *others)]
        return tf.keras.Model(inputs, outputs)

    for branches in (1, 2):
        model, again = build(branches), build(branches)
        again.set_weights(model.get_weights())
        assert not {*model.input_names} & {*again.input_names}
        assert not {*model.output_names} & {*again.output_names}
        arrays = [
            np.random.default_rng(seed).normal(size=(6, 8, 8, 32)).astype(np.float32)
            for seed in range(branches)
        ]
        content = converters.convert(model, inputs=None).content
        result = converters.verify(again, content, arrays)
        assert result.passed and not result.untraced
        assert len(result.layers) == branches
        if branches == 2:
            # Kernels in each other's place are noticed.
            one, other = (again.get_layer(f"conv{index}").kernel for index in (0, 1))
            values = one.numpy(), other.numpy()
            one.assign(values[1]), other.assign(values[0])
            assert not converters.verify(again, content, arrays).passed


def test_swapped_arguments_and_paths_are_named():
    model = one_layer(conv())
    content = converters.convert(model, inputs=None).content
    inputs = noise(model)
    with pytest.raises(TypeError, match="The Keras model comes first, then"):
        converters.verify(content, model, inputs)
    with pytest.raises(TypeError, match="A Keras model is needed, not str"):
        converters.verify("model.keras", content, inputs)
    with pytest.raises(TypeError, match="or its path is needed, not ndarray"):
        converters.verify(model, inputs, content)
    with pytest.raises(TypeError, match="The Keras model comes first, then"):
        converters.audit(content, model)


def test_among_few_inputs_one_may_differ():
    result = converters.Verification(
        samples=20, layers=(), untraced=("inner",), first_mismatch=None,
        output_difference=None,
        median_difference=1e-7, largest_difference=0.1, agreement=0.95,
        mismatched=1, mismatched_near_zero=1, keras_accuracy=None, tflite_accuracy=None,
        unexplained_mismatches=None, not_finite=0, milliseconds=1.0, num_threads=1,
        backend_name="", classes=True,
    )  # fmt: skip
    assert result.passed
    assert not dataclasses.replace(result, agreement=0.9).passed
    assert not dataclasses.replace(result, median_difference=1e-3).passed
    many = dataclasses.replace(result, samples=1000, agreement=0.995)
    assert many.passed and not dataclasses.replace(many, agreement=0.994).passed
    traced = dataclasses.replace(result, agreement=0.5, output_difference=1e-6)
    assert traced.passed
    assert not dataclasses.replace(traced, output_difference=2e-4).passed
    assert not dataclasses.replace(traced, first_mismatch="inner").passed
    assert not dataclasses.replace(traced, unexplained_mismatches=1).passed


def test_outputs_that_are_not_numbers_do_not_pass():
    model = one_layer(conv())
    content = converters.convert(model, inputs=None).content
    inputs = noise(model)
    norm = model.layers[1]
    norm.set_weights([np.full_like(w, np.nan) for w in norm.get_weights()])
    result = converters.verify(model, content, inputs)
    assert not result.passed and result.not_finite == len(inputs)
    assert "16 of 16 inputs are NaN or infinite" in result.verdict


def test_values_that_are_nan_before_a_sign_do_not_pass():
    """After the sign all is finite in the file, and equal given its signs."""
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 3)),
            tf.keras.layers.Conv2D(32, 3),
            conv(),
            tf.keras.layers.GlobalAveragePooling2D(),
        ]
    )
    content = converters.convert(model, inputs=None).content
    kernel = model.layers[0].kernel
    kernel.assign(np.where(np.arange(32) == 3, np.nan, kernel))
    result = converters.verify(model, content, noise(model))
    assert not result.passed and result.not_finite == 16


def test_outputs_that_differ_without_a_value_near_zero_do_not_pass(monkeypatch):
    """As if what is frozen were another function than what Keras predicts."""
    model = one_layer(conv(), after=[tf.keras.layers.GlobalAveragePooling2D()])
    content = converters.convert(model, inputs=None).content
    inputs = noise(model)
    inputs += np.copysign(np.float32(0.01), inputs)  # None is near zero.
    assert converters.verify(model, content, inputs).unexplained_mismatches == 0
    predict, called = model.predict, model_arrays._called
    monkeypatch.setattr(model, "predict", lambda *a, **k: 1.01 * predict(*a, **k))
    alone = lambda *a: [1.01 * output for output in called(*a)]  # noqa: E731
    monkeypatch.setattr(model_arrays, "_called", alone)
    result = converters.verify(model, content, inputs)
    assert not result.passed and result.unexplained_mismatches == 16
    assert "though no value before a sign" in result.verdict
    inputs[:, 0, 0, 0] = 1e-6
    assert converters.verify(model, content, inputs).unexplained_mismatches == 0


def test_another_model_is_refused(trained, converted):
    other = one_layer(conv())
    with pytest.raises(converters.ConversionError, match="does not fit the model"):
        converters.verify(other, converted.content, noise(other))


def test_wrong_inputs_are_refused(trained, converted):
    model, images, labels = trained
    with pytest.raises(ValueError, match=r"The inputs are .* Received: 2 arrays"):
        converters.verify(model, converted.content, [images, images])
    with pytest.raises(ValueError, match="need as many labels"):
        converters.verify(model, converted.content, images[:20], labels[:10])
    with pytest.raises(ValueError, match="at least one"):
        converters.verify(model, converted.content, images[:0])
    with pytest.raises(ValueError, match=r"is float32. Received: uint8. Scale it"):
        converters.verify(model, converted.content, images.astype(np.uint8))
    one_hot = np.eye(10)[labels]
    with pytest.raises(ValueError, match=r"integer classes .*labels.argmax.axis=1."):
        converters.verify(model, converted.content, images, one_hot)
    with pytest.raises(ValueError, match=r"classes from 0 to 9. Received: 1 to 10"):
        converters.verify(model, converted.content, images[:2], np.array([1, 10]))
    with pytest.raises(ValueError, match=r"classes from 0 to 9. Received: -1"):
        converters.verify(model, converted.content, images[:2], np.array([-1, 0]))


def test_float64_inputs_and_a_column_of_labels_are_taken(trained, converted):
    model, images, labels = trained
    column = labels[:50, np.newaxis]
    wide = converters.verify(
        model, converted.content, images[:50].astype(float), column
    )
    plain = converters.verify(model, converted.content, images[:50], labels[:50])
    assert wide and wide.layers == plain.layers
    assert wide.tflite_accuracy == plain.tflite_accuracy
