"""Arguments are checked before the long work, and once."""

import pickle

import numpy as np
import pytest
import tensorflow as tf

import converters
from converters import conversion, model_arrays
from converters.verification import verify as verification

from .conftest import conv, noise, one_layer


def refuse(*args, **options):
    raise AssertionError("The long work began.")


@pytest.fixture(scope="module")
def model():
    return one_layer(conv(), after=[tf.keras.layers.GlobalAvgPool2D()])


@pytest.fixture(scope="module")
def content(model):
    return converters.convert(model, inputs=None).content


IMAGES = np.ones((4, 8, 8, 64), np.float32)
WRONG = {
    "shape": ({"inputs": IMAGES[:, 1:]}, r"Received: \(4, 7, 8, 64\)"),
    "type": ({"inputs": IMAGES.astype(np.uint8)}, "Scale it as in training"),
    "values": ({"inputs": IMAGES * np.nan}, "not finite"),
    "number": ({"inputs": [IMAGES, IMAGES]}, "Received: 2 arrays"),
    "labels": ({"inputs": IMAGES, "labels": [1, 2]}, "4 inputs need as many labels"),
    "classes": ({"inputs": IMAGES, "labels": [0, 1, 2, 32]}, "classes from 0 to 31"),
}
WRONG_OF_CONVERT = {
    "labels alone": ({"inputs": None, "labels": [1]}, "Labels need the inputs"),
    "calibration": ({"inputs": None, "calibration": IMAGES[:, 1:]}, "7, 8, 64"),
    "no calibration": ({"inputs": None, "calibration": IMAGES[:0]}, "calibration inp"),
    "rewrites": ({"inputs": None, "rewrites": ["no_such"]}, "no_such"),
}


@pytest.mark.parametrize("name", [*WRONG, *WRONG_OF_CONVERT])
def test_convert_refuses_before_it_traces(name, model, monkeypatch, tmp_path):
    monkeypatch.setattr(conversion, "freeze", refuse)
    given, says = {**WRONG, **WRONG_OF_CONVERT}[name]
    with pytest.raises(ValueError, match=says):
        converters.convert(model, tmp_path / "model.tflite", **given)
    assert not list(tmp_path.iterdir())


def test_convert_checks_the_path_before_it_traces(model, monkeypatch, tmp_path):
    monkeypatch.setattr(conversion, "freeze", refuse)
    with pytest.raises(converters.ConversionError, match="does not exist"):
        converters.convert(model, tmp_path / "no" / "model.tflite", inputs=None)


def test_int8_io_without_ranges_is_refused_before_the_conversion(model, monkeypatch):
    monkeypatch.setattr(conversion, "lower", refuse)
    with pytest.raises(converters.ConversionError, match="int8_io needs ranges"):
        converters.convert(model, inputs=None, int8_io=True)


@pytest.mark.parametrize("name", WRONG)
def test_verify_refuses_before_it_traces(name, model, content, monkeypatch):
    monkeypatch.setattr(verification, "freeze", refuse)
    given, says = WRONG[name]
    with pytest.raises(ValueError, match=says):
        converters.verify(model, content, **given)


def test_verify_checks_the_file_before_it_traces(model, content, monkeypatch):
    monkeypatch.setattr(verification, "freeze", refuse)
    with pytest.raises(ValueError, match="is not a"):
        converters.verify(model, b"no file", IMAGES)
    other = one_layer(conv(filters=64))
    with pytest.raises(converters.ConversionError, match="does not fit the model"):
        converters.verify(other, content, IMAGES)


@pytest.mark.parametrize(
    "given, says",
    [
        *[pair for pair in WRONG.values() if "labels" not in pair[0]],
        ({"inputs": IMAGES, "class_names": ["one"]}, "Received: 1 class_names"),
        ({"inputs": IMAGES, "metadata": {"x": object()}}, "plain data"),
    ],
)
@pytest.mark.parametrize("with_model", [True, False], ids=["keras", "file"])
def test_package_refuses_before_it_runs(
    given, says, with_model, model, content, monkeypatch, tmp_path
):
    from converters.packages import packaging

    monkeypatch.setattr(packaging, "verify_arrays", refuse)
    monkeypatch.setattr(packaging, "_golden_signs", refuse)
    if not with_model and says in (WRONG["shape"][1], WRONG["type"][1]):
        says = "Received: .*8, 64"  # The interpreter says it.
    with pytest.raises(ValueError, match=says):
        options = {"model": model} if with_model else {}
        converters.package(content, tmp_path / "device", **given, **options)
    assert not list(tmp_path.iterdir())


def test_profile_refuses_before_it_audits_and_measures(model, content, monkeypatch):
    from converters import profiling

    monkeypatch.setattr(profiling, "_layers", refuse)
    monkeypatch.setattr(profiling, "_tensors", refuse)
    for inputs in (IMAGES[:, 1:], IMAGES[:0], IMAGES.astype(np.uint8)):
        with pytest.raises(ValueError, match=r"(8, 64|less than 1)"):
            converters.profile(content, inputs, model=model)


def test_each_array_is_checked_once(model, content, monkeypatch, tmp_path):
    roles, plain = [], model_arrays.named_inputs

    def counting(model, inputs, role="inputs"):
        roles.append(role)
        return plain(model, inputs, role)

    monkeypatch.setattr(model_arrays, "named_inputs", counting)
    inputs = noise(model)
    labels = np.zeros(len(inputs), int)
    converters.convert(model, inputs=inputs, labels=labels)
    assert roles == ["inputs"]
    converters.verify(model, content, inputs, labels)
    assert roles == ["inputs"] * 2
    converters.package(content, tmp_path / "device", inputs=inputs, model=model)
    assert roles == ["inputs"] * 3
    monkeypatch.setattr(conversion, "insert_fake_quants", refuse)
    with pytest.raises(converters.ConversionError, match="The long work began"):
        converters.convert(model, inputs=inputs, calibration=inputs)
    assert roles == ["inputs"] * 4 + ["calibration inputs"]


def test_a_file_that_is_not_equivalent_comes_with_its_report(model, monkeypatch):
    monkeypatch.setattr(
        converters.Verification, "outcome", property(lambda self: "failed")
    )
    with pytest.raises(converters.NotEquivalentError) as caught:
        converters.convert(model, inputs=noise(model))
    report = caught.value.report
    assert report.model == model.name and report.verification.samples == 16
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.report == report


def test_other_errors_have_no_report():
    error = converters.ConversionError("as it is")
    with pytest.warns(DeprecationWarning, match="catch converters.NotEquivalentError"):
        assert error.report is None
