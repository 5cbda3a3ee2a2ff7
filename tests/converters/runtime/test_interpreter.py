"""The interpreter, and what it says of files that are none."""

import numpy as np
import pytest

import converters
from converters.runtime import TfliteFile

from ..conftest import conv, noise, one_layer


@pytest.fixture(scope="module")
def model():
    return one_layer(conv())


@pytest.fixture(scope="module")
def content(model):
    return converters.convert(model, inputs=None).content


def test_predicts_as_keras_does(model, content, tmp_path):
    (tmp_path / "model.tflite").write_bytes(content)
    for source in (content, tmp_path / "model.tflite"):
        interpreter = converters.Interpreter(source, num_threads=2)
        inputs = noise(model, 3)
        expected = model.predict(inputs, verbose=0)
        result = interpreter.predict(inputs)
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    (info,) = interpreter.inputs
    assert info.name == model.input_names[0]
    assert info.shape == (1, 8, 8, 64) and info.dtype == np.float32
    by_name = interpreter.predict({info.name: inputs})
    np.testing.assert_array_equal(by_name, interpreter.predict([inputs]))


def test_wrong_inputs_are_named(content):
    interpreter = converters.Interpreter(content)
    with pytest.raises(ValueError, match=r"is \('batch', 8, 8, 64\) of float32"):
        interpreter.predict(np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match=r"Received: .*float64"):
        interpreter.predict(np.zeros((1, 8, 8, 64)))
    with pytest.raises(ValueError, match=r"The inputs are .*Received: \['x'\]"):
        interpreter.predict({"x": np.zeros((1, 8, 8, 64), np.float32)})
    with pytest.raises(ValueError, match="backend must be one of"):
        converters.Interpreter(content, backend="gpu")


@pytest.mark.parametrize("damage", ["empty", "foreign", "truncated"])
def test_damaged_files_are_one_clear_error(damage, content, tmp_path):
    path = tmp_path / "model.tflite"
    spoilt = {
        "empty": b"",
        "foreign": b"PK\x03\x04 not a model at all",
        "truncated": content[: len(content) // 3],
    }[damage]
    path.write_bytes(spoilt)
    with pytest.raises(ValueError, match=r"model.tflite is (not|a damaged)"):
        TfliteFile(path)
    with pytest.raises(FileNotFoundError):
        TfliteFile(tmp_path / "missing.tflite")
