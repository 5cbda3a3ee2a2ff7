"""The interpreter, and what it says of files that are none."""

import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest

import converters
from converters.runtime import TfliteFile, delegate

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


def test_a_batch_goes_through_at_once(model, content):
    inputs = noise(model, 5)
    interpreter = converters.Interpreter(content, backend="delegate")
    expected = interpreter.predict(inputs)
    interpreter.resize(2)
    assert interpreter.batch_size == 2
    # The third pair is filled up, and what fills it is not returned.
    np.testing.assert_array_equal(interpreter.predict(inputs), expected)
    (once,) = interpreter.run_once([inputs[:2]])
    np.testing.assert_array_equal(once, expected[:2])
    with pytest.raises(ValueError, match="batch_size must be positive"):
        interpreter.resize(0)
    with pytest.raises(ValueError, match="a sample at a time"):
        converters.Interpreter(content, backend="lce").resize(2)


def test_no_sample_is_an_empty_answer(model, content):
    for backend in ("lce", "delegate"):
        interpreter = converters.Interpreter(content, backend=backend)
        assert interpreter.predict(noise(model, 1)[:0]).shape == (0, 8, 8, 32)


def test_tensors_of_the_inside_are_those_of_lce(model, content):
    inputs = noise(model, 3)
    file = TfliteFile(content)
    tensors = [operator.outputs[0] for operator in file.operators]
    ours, theirs = (
        converters.Interpreter(content, backend=backend).intermediate(inputs, tensors)
        for backend in ("delegate", "lce")
    )
    assert len(tensors) > 1 and list(ours) == tensors
    for tensor in tensors:
        np.testing.assert_allclose(ours[tensor], theirs[tensor], rtol=1e-5, atol=1e-5)


def test_times_of_operators_come_from_real_runs(model, content):
    interpreter = converters.Interpreter(content, backend="delegate")
    times = interpreter.operator_times(noise(model, 1), runs=5)
    binary = [time for time in times if time.operator is not None]
    names = [interpreter.file.operators[time.operator].name for time in binary]
    assert [time.name for time in binary] == names
    assert {"LceQuantize", "LceBconv2d"} <= set(names)
    assert all(0 <= time.milliseconds <= time.median_milliseconds for time in times)
    assert all(time.name == "LiteRT" for time in times if time.operator is None)
    with pytest.raises(ValueError, match="takes no times"):
        converters.Interpreter(content, backend="lce").operator_times(noise(model, 1))


def test_without_the_kernels_lce_is_taken(content, monkeypatch, tmp_path):
    monkeypatch.setattr(delegate, "LIBRARY", tmp_path / "libbnn.so")
    delegate._library.cache_clear()
    delegate.ready_litert.cache_clear()
    try:
        assert converters.Interpreter(content).backend == "lce"
        with pytest.raises(ImportError, match=r"libbnn.so is missing.*C compiler"):
            converters.Interpreter(content, backend="delegate")
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"Nothing here runs .*C compiler"):
            converters.Interpreter(content)
    finally:
        monkeypatch.undo()
        delegate._library.cache_clear()
        delegate.ready_litert.cache_clear()
    assert converters.Interpreter(content).backend == "delegate"


def test_who_runs_it_is_said(content):
    text = converters.Interpreter(content, backend="delegate").runner
    assert re.fullmatch(r"\w+ kernels in (tensorflow|ai-edge-litert) [\d.]+", text)
    text = converters.Interpreter(content, backend="lce").runner
    assert text == "larq-compute-engine 0.16.0"
    with pytest.raises(ValueError, match="num_threads must be positive"):
        converters.Interpreter(content, num_threads=0)


def test_references_that_lead_nowhere_are_refused(content):
    def refusal(change):
        file = TfliteFile(content)
        change(file._graph)
        with pytest.raises(ValueError, match="is a damaged") as caught:
            TfliteFile(file.sound())
        return str(caught.value)

    def swap(graph):
        graph.operators = graph.operators[::-1]

    def overwrite(graph):
        graph.operators[-1].outputs = graph.inputs

    def lose(graph):
        graph.operators[0].inputs = np.array([1000], np.int32)

    def blow_up(graph):
        graph.tensors[0].shape = np.array([1, 2**15, 2**15, 2**10], np.int32)

    assert "reads what is not computed yet" in refusal(swap)
    assert "writes what is there already" in refusal(overwrite)
    assert "it has no tensor 1000" in refusal(lose)
    assert "elements" in refusal(blow_up)


def test_a_script_ends_without_a_word(content, tmp_path):
    """The interpreter lives until Python takes its modules apart."""
    (tmp_path / "model.tflite").write_bytes(content)
    program = (
        "import converters\n"
        "kept = converters.Interpreter('model.tflite', backend='delegate')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0 and "Exception ignored" not in run.stderr
