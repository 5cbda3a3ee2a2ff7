"""Parity with ties in mind: what moves must be near a sign."""

import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.verification import near_ties

from .conftest import conv, noise, one_layer


@pytest.fixture(scope="module")
def converted(trained):
    model, images, labels = trained
    return converters.convert(model, inputs=images, labels=labels)


def test_a_trained_model_says_the_same_on_all_test_images(trained, converted):
    model, images, labels = trained
    result = converted.report.verification
    assert result.passed and result.samples == 1000
    assert result.median_difference < 1e-6
    assert result.agreement >= 0.995
    # Every output that moved is near a sign: no chosen seed makes this true.
    assert result.moved_with_tie == result.moved
    keras = (model.predict(images, verbose=0).argmax(axis=1) == labels).mean()
    assert result.keras_accuracy == pytest.approx(keras)
    assert abs(result.tflite_accuracy - keras) <= 1 - result.agreement
    assert len(converted.report.audit.converted) == 6
    assert result.milliseconds > 0


def test_a_turned_filter_is_noticed(trained, converted):
    model, images, _ = trained
    from converters.runtime import TfliteFile

    file = TfliteFile(converted.content)
    operator = next(op for op in file.operators if op.name == "LceBconv2d")
    packed = file.data(operator.inputs[1]).tobytes()
    turned = (~np.frombuffer(packed, np.uint8)).tobytes()
    assert converted.content.count(packed) == 1
    content = converted.content.replace(packed, turned)
    assert not converters.verify(model, content, images).passed
    # Every channel is turned, which the audit takes for the converter's own doing.
    assert len(converters.audit(model, content).converted) == 6
    half = packed[: len(packed) // 2] + turned[len(packed) // 2 :]
    spoilt = bytearray(half)
    spoilt[0] ^= 1
    content = converted.content.replace(packed, bytes(spoilt))
    assert len(converters.audit(model, content).converted) == 5


def test_near_ties_are_the_smallest_values_in_front_of_a_sign():
    x = inputs = tf.keras.Input((4, 4, 32))
    x = conv(name="first")(x)
    x = tf.keras.layers.BatchNormalization()(x)
    model = tf.keras.Model(inputs, conv(name="second")(x))
    images = noise(model, 5)
    images[2, 0, 0, 0] = 1e-7
    inner = tf.keras.Model(inputs, x).predict(images, verbose=0)
    expected = []
    for image, value in zip(images, inner):
        scale = [np.sqrt((v.astype(np.float64) ** 2).mean()) for v in (image, value)]
        smallest = [np.abs(v).min() for v in (image, value)]
        expected.append(min(s / c for s, c in zip(smallest, scale)))
    np.testing.assert_allclose(near_ties(model, images), expected, rtol=1e-5)
    assert near_ties(model, images)[2] < 1e-6


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


def test_few_inputs_may_hold_one_tie():
    result = converters.Verification(
        samples=20, median_difference=1e-7, largest_difference=0.1, agreement=0.95,
        moved=1, moved_with_tie=1, keras_accuracy=None, tflite_accuracy=None,
        milliseconds=1.0, num_threads=1,
    )  # fmt: skip
    assert result.passed
    import dataclasses

    assert not dataclasses.replace(result, agreement=0.9).passed
    assert not dataclasses.replace(result, median_difference=1e-3).passed
    many = dataclasses.replace(result, samples=1000, agreement=0.995)
    assert many.passed and not dataclasses.replace(many, agreement=0.994).passed


def test_outputs_that_are_not_numbers_do_not_pass():
    model = one_layer(conv())
    content = converters.convert(model, inputs=None).content
    inputs = noise(model)
    norm = model.layers[1]
    norm.set_weights([np.full_like(w, np.nan) for w in norm.get_weights()])
    assert not converters.verify(model, content, inputs).passed


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
