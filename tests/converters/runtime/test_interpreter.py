"""The Interpreter: predictions, sizes, times, and its errors."""

import concurrent.futures
import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.runtime import TfliteFile, backends, delegate, schema

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
    with pytest.raises(ValueError, match=r"Received: .*int64"):
        interpreter.predict(np.zeros((1, 8, 8, 64), np.int64))
    with pytest.raises(TypeError, match=r"are NumPy arrays .*Received: list"):
        interpreter.predict([[0.0, 1.0]])
    with pytest.raises(ValueError, match=r"The inputs are .*Received: \['x'\]"):
        interpreter.predict({"x": np.zeros((1, 8, 8, 64), np.float32)})
    with pytest.raises(ValueError, match="backend must be one of"):
        converters.Interpreter(content, backend="gpu")
    with pytest.raises(TypeError, match=r"are NumPy arrays .*Received: NoneType"):
        interpreter.predict(None)
    for wrong in (-1, interpreter.file.num_tensors, "sign"):
        with pytest.raises(ValueError, match=r"must be indices from 0 to .*Received"):
            interpreter.intermediate(np.zeros((1, 8, 8, 64), np.float32), [wrong])


@pytest.mark.parametrize("backend", ["delegate", "lce"])
def test_threads_share_an_interpreter(backend, model, content):
    interpreter = converters.Interpreter(content, backend=backend)
    inputs = noise(model, 4)
    expected = [interpreter.predict(inputs[i : i + 1]) for i in range(4)]
    wrong = []

    def ask(index):
        for _ in range(200):
            answer = interpreter.predict(inputs[index : index + 1])
            if not np.array_equal(answer, expected[index]):
                wrong.append(index)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            list(threads.map(ask, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def test_run_once_takes_what_first_of_returns(model, content):
    interpreter = converters.Interpreter(content, backend="delegate")
    inputs = noise(model, 5)
    interpreter.resize(3)
    (answer,) = interpreter.run_once(interpreter.first_of(inputs))
    np.testing.assert_array_equal(answer, interpreter.predict(inputs)[:3])
    with pytest.raises(ValueError, match="contain less than 3 samples"):
        interpreter.first_of(inputs[:2])


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


def test_a_batch_is_one_run_after_resize(model, content):
    inputs = noise(model, 5)
    interpreter = converters.Interpreter(content, backend="delegate")
    expected = interpreter.predict(inputs)
    interpreter.resize(2)
    assert interpreter.batch_size == 2
    # The third pair is padded, and the padding is not returned.
    np.testing.assert_array_equal(interpreter.predict(inputs), expected)
    (once,) = interpreter.run_once([inputs[:2]])
    np.testing.assert_array_equal(once, expected[:2])
    with pytest.raises(ValueError, match="batch_size must be positive"):
        interpreter.resize(0)
    with pytest.raises(ValueError, match="a sample at a time"):
        converters.Interpreter(content, backend="lce").resize(2)


def at_size(size, weights=None):
    """A network that takes images of any size, built for one of them."""
    layers = tf.keras.layers
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            tf.keras.Input((*size, 3), name="image"),
            layers.Conv2D(32, 3, 2, "same"),
            conv(pad_values=1.0),
            layers.BatchNormalization(),
            conv(name="strided", strides=2, filters=40),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
        ]
    )
    if weights is not None:
        model.set_weights(weights)
    return model


@pytest.mark.parametrize("batch_size", [1, 3])
def test_images_of_another_size_are_predicted_as_by_a_model_of_that_size(batch_size):
    model = at_size((16, 16))
    interpreter = converters.Interpreter(converters.convert(model, inputs=None).content)
    wide = at_size((24, 37), model.get_weights())
    images = noise(wide, 5)
    expected = converters.Interpreter(
        converters.convert(wide, inputs=images).content
    ).predict(images)
    interpreter.resize(batch_size, {"image": (24, 37, 3)})
    assert interpreter.inputs[0].shape == (1, 24, 37, 3)
    assert interpreter.outputs[0].shape == (1, 5)
    np.testing.assert_allclose(interpreter.predict(images), expected, atol=1e-5)
    words = [o.outputs[0] for o in interpreter.file.operators][:1]
    assert interpreter.intermediate(images, words)[words[0]].shape[:3] == (5, 12, 19)
    with pytest.raises(ValueError, match=r"'batch', 24, 37, 3\)"):
        interpreter.predict(noise(model))
    interpreter.resize(1, {"image": (16, 16, 3)})
    assert interpreter.predict(noise(model)).shape == (16, 5)


def test_sizes_that_cannot_be_are_refused():
    content = converters.convert(at_size((16, 16)), inputs=None).content
    interpreter = converters.Interpreter(content, backend="delegate")
    with pytest.raises(ValueError, match=r"The inputs are \['image'\]. Received"):
        interpreter.resize(1, {"images": (24, 24, 3)})
    for size in ((24, 24), (0, 24, 3)):
        with pytest.raises(ValueError, match="Received for the shape after the batch"):
            interpreter.resize(1, {"image": size})
    with pytest.raises(ValueError, match="its channels, is 3 in this file"):
        interpreter.resize(1, {"image": (16, 16, 4)})
    content = plain(lambda x: tf.reshape(x, (-1, 8)), (2, 4))
    flat = converters.Interpreter(content, backend="delegate")
    with pytest.raises(ValueError, match="makes several samples of one"):
        flat.resize(1, {flat.inputs[0].name: (4, 4)})
    assert interpreter.predict(np.zeros((1, 16, 16, 3), np.float32)).shape == (1, 5)


def test_no_samples_give_no_predictions(model, content):
    for backend in ("lce", "delegate"):
        interpreter = converters.Interpreter(content, backend=backend)
        assert interpreter.predict(noise(model, 1)[:0]).shape == (0, 8, 8, 32)


def test_intermediate_tensors_equal_those_of_lce(model, content):
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
    names = [operator.name for operator in interpreter.file.operators]
    expected = [name for name in names if name.startswith("Lce")]
    assert [time.name for time in binary] == expected
    assert {"LceQuantize", "LceBconv2d"} <= set(expected)
    with pytest.raises(ValueError, match="runs must be positive"):
        interpreter.operator_times(noise(model, 1), runs=0)
    assert all(0 <= time.milliseconds <= time.median_milliseconds for time in times)
    assert all(time.name == "LiteRT" for time in times if time.operator is None)
    with pytest.raises(ValueError, match="measures no times"):
        converters.Interpreter(content, backend="lce").operator_times(noise(model, 1))


def test_without_the_kernels_lce_is_used(content, monkeypatch, tmp_path):
    monkeypatch.setattr(delegate, "LIBRARY", tmp_path / "libbnn.so")
    delegate._library.cache_clear()
    delegate._outcome.cache_clear()
    backends._warn_of_sources.cache_clear()
    try:
        with pytest.warns(UserWarning, match="no binary kernels are built") as caught:
            assert converters.Interpreter(content).backend == "lce"
        assert caught[0].filename == __file__
        with pytest.raises(ImportError, match=r"libbnn.so is missing.*C compiler"):
            converters.Interpreter(content, backend="delegate")
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"Nothing here runs .*C compiler"):
            converters.Interpreter(content)
    finally:
        monkeypatch.undo()
        delegate._library.cache_clear()
        delegate._outcome.cache_clear()
    assert converters.Interpreter(content).backend == "delegate"


def test_without_litert_the_error_names_the_remedy(content, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    schema.load_schema.cache_clear()
    try:
        with pytest.raises(ImportError, match="pip install ai-edge-litert"):
            converters.Interpreter(content)
    finally:
        monkeypatch.undo()
        schema.load_schema.cache_clear()


def test_backend_name_has_kernels_and_version(content):
    with pytest.warns(DeprecationWarning, match=r"use Interpreter\.backend_name"):
        old = converters.Interpreter(content, backend="delegate").runner
    text = converters.Interpreter(content, backend="delegate").backend_name
    assert old == text
    assert re.fullmatch(r"\w+ kernels in (tensorflow|ai-edge-litert) [\d.]+", text)
    text = converters.Interpreter(content, backend="lce").backend_name
    assert text == "larq-compute-engine 0.16.0"
    with pytest.raises(ValueError, match="num_threads must be a whole number"):
        converters.Interpreter(content, num_threads=0)


def test_references_out_of_range_are_refused(content):
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

    assert "reads a tensor that is not computed yet" in refusal(swap)
    assert "writes a tensor that exists already" in refusal(overwrite)
    assert "it has no tensor 1000" in refusal(lose)
    assert "elements" in refusal(blow_up)


@pytest.mark.slow
def test_a_script_ends_without_output(content, tmp_path):
    """The interpreter lives until Python unloads its modules."""
    (tmp_path / "model.tflite").write_bytes(content)
    program = (
        "import converters\n"
        "kept = converters.Interpreter('model.tflite', backend='delegate')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0 and "Exception ignored" not in run.stderr


def plain(build, *shapes):
    """A file of a network without binary layers."""
    inputs = [tf.keras.Input(shape, batch_size=1) for shape in shapes]
    model = tf.keras.Model(inputs, build(*inputs))
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def test_a_file_that_mixes_samples_is_not_resized():
    content = plain(lambda x: x - tf.reduce_mean(x), (4,))
    interpreter = converters.Interpreter(content, backend="delegate")
    with pytest.raises(ValueError, match="other answers to 2 samples at once"):
        interpreter.resize(2)
    assert interpreter.batch_size == 1
    # A file with a shape for one sample.
    content = plain(lambda x: tf.reshape(x, (1, 2, 2)), (4,))
    with pytest.raises(ValueError, match="not run on 2 samples"):
        converters.Interpreter(content, backend="delegate").resize(2)


def test_inputs_of_different_numbers_are_refused():
    content = plain(lambda a, b: a + b, (4,), (4,))
    interpreter = converters.Interpreter(content, backend="delegate")
    with pytest.raises(ValueError, match=r"have \[2, 5\] samples"):
        interpreter.predict([np.zeros((n, 4), np.float32) for n in (2, 5)])


def test_constants_without_elements_are_read():
    content = plain(lambda x: tf.reshape(x, []) + 1.0, (1,))
    assert TfliteFile(content).operators


@pytest.mark.slow
def test_forked_processes_end(content, tmp_path):
    """Threads are not forked, and the child must not wait for them."""
    (tmp_path / "model.tflite").write_bytes(content)
    program = (
        "import os, sys, numpy, converters\n"
        "kept = converters.Interpreter('model.tflite', 2, backend='delegate')\n"
        "kept.predict(numpy.ones((1, 8, 8, 64), numpy.float32))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(3)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=120
    )
    assert run.returncode == 3


def test_a_refused_litert_is_reported(content, monkeypatch):
    monkeypatch.setattr(delegate, "run_self_test", lambda litert: "it is wrong")
    delegate._outcome.cache_clear()
    try:
        with pytest.warns(
            UserWarning, match=r"it is wrong.*Larq Compute Engine is used instead"
        ) as caught:
            assert converters.Interpreter(content).backend == "lce"
        assert caught[0].filename == __file__
        with pytest.raises(RuntimeError, match="does not work with the binary kernels"):
            converters.Interpreter(content, backend="delegate")
    finally:
        delegate._outcome.cache_clear()


@pytest.mark.parametrize(
    "board, processor, name",
    [
        ("Raspberry Pi 4 Model B Rev 1.4\0", "", "Raspberry Pi 4 Model B Rev 1.4"),
        (None, "model\t\t: 1\nmodel name\t: AMD EPYC\n", "AMD EPYC"),
        (None, "Model\t\t: Raspberry Pi 3\n", "Raspberry Pi 3"),
    ],
)
def test_the_host_has_a_name(board, processor, name, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(processor)
    if board is not None:
        (tmp_path / "model").write_text(board)
    module = importlib.import_module("converters.runtime.host")
    monkeypatch.setattr(module, "_BOARD", tmp_path / "model")
    monkeypatch.setattr(module, "_PROCESSOR", tmp_path / "cpuinfo")
    assert module.host_description().startswith(f"{name}, ")


def test_float64_and_tensors_are_accepted(content):
    interpreter = converters.Interpreter(content)
    inputs = np.random.default_rng(0).normal(size=(3, 8, 8, 64))
    expected = interpreter.predict(inputs.astype(np.float32))
    np.testing.assert_array_equal(interpreter.predict(inputs), expected)
    tensor = tf.constant(inputs, tf.float32)
    np.testing.assert_array_equal(interpreter.predict(tensor), expected)


def test_more_threads_than_cores_give_a_warning(content, monkeypatch):
    monkeypatch.setattr("converters.runtime.interpreter.free_cores", lambda: 1)
    with pytest.warns(UserWarning, match="num_threads=2 on 1 cores"):
        converters.Interpreter(content, num_threads=2)
