"""Interpreters under fork, spawn, pickle and threads, and invalid inputs."""

import copy
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from converters.runtime import Interpreter, delegate, lce

IMAGE = delegate.self_test_input()

PROGRAM = """
import gc, os, signal, sys, threading
import numpy as np
from converters.runtime import Interpreter, delegate

file, image = delegate.SELF_TEST, delegate.self_test_input()
kept = Interpreter(file, THREADS, backend=BACKEND)
expected = kept.predict(image)


def child(do):
    if not (pid := os.fork()):
        signal.alarm(60)
        do()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def same(interpreter):
    for name, array in interpreter.predict(image).items():
        np.testing.assert_array_equal(array, expected[name])


def run():
    try:
        same(kept)
        print("ran")
    except RuntimeError as error:
        print(error)


def forget():
    global kept
    del kept
    gc.collect()


child(run)
child(forget)
child(lambda: same(Interpreter(file, THREADS, backend=BACKEND)))
if not os.fork():
    signal.alarm(60)
    sys.exit(0)
assert os.wait()[1] == 0
same(kept)
"""


@pytest.mark.parametrize("backend", ["delegate", "lce"])
@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_an_inherited_interpreter_raises_and_never_hangs(backend, threads, tmp_path):
    program = PROGRAM.replace("THREADS", str(threads)).replace("BACKEND", repr(backend))
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    (line,) = run.stdout.splitlines()
    if threads == 1:
        assert line == "ran"
    else:
        assert "which was forked from it: make it in the process that runs it" in line


SPAWN = """
import multiprocessing
import numpy as np
from converters.runtime import Interpreter, delegate


def answer(path):
    interpreter = Interpreter(path, 2, backend="delegate")
    return interpreter.run_once([delegate.self_test_input()])


if __name__ == "__main__":
    expected = answer(delegate.SELF_TEST)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply_async(answer, [delegate.SELF_TEST]).get(120)
    for array, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, other)
"""


@pytest.mark.slow
def test_spawned_processes_make_their_own(tmp_path):
    (tmp_path / "program.py").write_text(SPAWN)
    subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, timeout=200, check=True
    )


@pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy])
def test_interpreters_are_not_pickled(act):
    with pytest.raises(TypeError, match="Pickle the path of its file"):
        act(Interpreter(delegate.SELF_TEST))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("backend", ["delegate", "lce"])
def test_values_that_are_not_finite_are_refused(value, backend):
    image = np.concatenate([IMAGE, IMAGE])
    image[1, 2, 3, 4] = value
    interpreter = Interpreter(delegate.SELF_TEST, backend=backend)
    with pytest.raises(ValueError, match="first in sample 1, and the sign of NaN is"):
        interpreter.predict(image)
    with pytest.raises(ValueError, match="check_finite=False"):
        interpreter.intermediate(image, [0])
    unchecked = Interpreter(delegate.SELF_TEST, backend=backend, check_finite=False)
    assert {len(array) for array in unchecked.predict(image).values()} == {2}


@pytest.mark.parametrize("kind", ["uint8", "int32", "int64"])
def test_pixels_are_refused_with_the_formula(kind, tmp_path):
    pixels = np.ones(IMAGE.shape, kind)
    for source in (delegate.SELF_TEST, delegate.SELF_TEST.read_bytes()):
        with pytest.raises(
            ValueError, match=r"Scale them as in training, then \.astype"
        ):
            Interpreter(source).predict(pixels)
    path = tmp_path / "model.tflite"
    path.write_bytes(delegate.SELF_TEST.read_bytes())
    for content, words in (
        (
            {"preprocessing": "pixel / 127.5 - 1"},
            r"Scale them: pixel / 127.5 - 1, then",
        ),
        ({"preprocessing": 3}, "Scale them as in training"),
        ([], "Scale them as in training"),
    ):
        (tmp_path / "metadata.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=words):
            Interpreter(path).predict(pixels)


CALLS = {
    "a batch of no dimension": (lambda i: i.predict(np.float32(1)), ValueError),
    "text": (lambda i: i.predict("image.png"), (TypeError, ValueError)),
    "a number": (lambda i: i.predict(3), TypeError),
    "objects": (lambda i: i.predict(np.array([None])), ValueError),
    "no name": (lambda i: i.predict({}), ValueError),
    "a batch size of text": (lambda i: i.resize("2"), ValueError),
    "half a sample": (lambda i: i.resize(1.5), ValueError),
    "sizes that are no mapping": (lambda i: i.resize(1, [7, 7, 40]), TypeError),
    "a size of text": (lambda i: i.resize(1, {i.inputs[0].name: "abc"}), ValueError),
    "a size without axes": (lambda i: i.resize(1, {i.inputs[0].name: ()}), ValueError),
    "one number": (lambda i: i.resize(1, {i.inputs[0].name: 7}), ValueError),
    "a terabyte": (lambda i: i.resize(2**30), ValueError),
    "one tensor": (lambda i: i.intermediate(IMAGE, 3), TypeError),
    "half a tensor": (lambda i: i.intermediate(IMAGE, [0.5]), ValueError),
    "half a run": (lambda i: i.operator_times(IMAGE, 0.5), ValueError),
    "no samples": (lambda i: i.first_of(IMAGE[:0]), ValueError),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_calls_are_one_line_errors(name):
    call, kind = CALLS[name]
    interpreter = Interpreter(delegate.SELF_TEST, backend="delegate")
    with pytest.raises(kind) as caught:
        call(interpreter)
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 20
    assert {len(array) for array in interpreter.predict(IMAGE).values()} == {1}


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", None, True, 10**9])
def test_invalid_numbers_of_threads_are_refused(number):
    with pytest.raises(ValueError, match="num_threads must be a whole number"):
        Interpreter(delegate.SELF_TEST, number)


def test_an_import_that_fails_states_the_reason(monkeypatch):
    def fail(name):
        raise ImportError("libm.so.6: version `GLIBC_2.99' not found")

    monkeypatch.setattr(lce.importlib, "import_module", fail)
    with pytest.raises(ImportError, match=r"does not load: .*GLIBC_2.99"):
        lce.LceEngine(b"", 1)
    litert = delegate.installed_litert()
    with pytest.raises(ImportError, match=r"does not load: .*GLIBC_2.99"):
        litert.module()
