"""The C sources under sanitizers, with damaged input, and with emulated AVX-512."""

import pathlib
import pickle
import platform
import subprocess
import sys

import numpy as np
import pytest

from converters.runtime import TfliteFile, delegate

from .convolutions import Case
from .files import packed
from .parity import answers_of, assert_repeats, kernels_here

HERE = pathlib.Path(__file__).parent
SOURCES = HERE.parents[2] / "converters" / "runtime" / "src"
FLAGS = ["-std=gnu11", "-ffp-contract=off", "-Wall", "-Wextra", f"-I{SOURCES}"]
ADDRESSES = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
THREADS = ["-O1", "-g", "-fsanitize=thread"]
# SIMDe emulates AVX-512 in plain C; warnings about its own source are silenced.
EMULATED = ["-DBNN_EMULATE_AVX512", "-mavx2", "-w"]


def compiled(target, *flags):
    """Compiles all sources, and the fuzzer into a program."""
    sources = sorted(SOURCES.glob("*.c"))
    if "-shared" not in flags:
        sources.append(HERE / "native" / "fuzz.c")
    subprocess.run(
        ["gcc", *FLAGS, *flags, *sources, "-o", target, "-lm", "-pthread"], check=True
    )
    return target


def fuzz(program, kernels, inputs, seed):
    run = subprocess.run(
        [program, kernels, str(inputs), str(seed)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-4000:]
    counts = [int(word) for word in run.stdout.split() if word.isdigit()]
    assert sum(counts) == inputs
    # Enough of each kind was valid, and enough was damaged.
    convolutions, *others, refused = counts
    assert convolutions > inputs / 8 and refused > inputs / 8
    assert min(others) > inputs / 100


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The fuzzer, which ends at a read out of bounds or an overflow."""
    return compiled(tmp_path_factory.mktemp("native") / "fuzz", *ADDRESSES)


@pytest.mark.parametrize(
    "inputs", [3000, pytest.param(100_000, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kernels", kernels_here())
def test_damaged_operators_are_refused_and_valid_ones_correct(checked, kernels, inputs):
    fuzz(checked, kernels, inputs, seed=1)


@pytest.mark.slow
def test_threads_do_not_race(tmp_path):
    program = compiled(tmp_path / "fuzz", *THREADS)
    fuzz(program, "portable", 5000, seed=2)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """The library with AVX-512 emulated in plain C."""
    target = tmp_path_factory.mktemp("emulated") / "libbnn.so"
    return compiled(target, "-O2", "-shared", "-fPIC", *EMULATED)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="a kernel of x86-64")
def test_damaged_operators_under_emulated_avx512(tmp_path):
    program = compiled(tmp_path / "fuzz", *ADDRESSES, *EMULATED)
    fuzz(program, "avx512", 100_000, seed=3)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="a kernel of x86-64")
def test_emulated_avx512_computes_the_same(emulated, monkeypatch):
    monkeypatch.setattr(delegate, "LIBRARY", emulated)
    delegate._library.cache_clear()
    try:
        assert delegate.known_kernels()["avx512"]
        for case in (
            Case(channels_in=70, channels_out=77, height=9, width=9),
            Case(channels_in=70, channels_out=77, output="bits", pad_ones=True),
            Case(channels_in=70, channels_out=64, output="int8", pad_ones=True),
        ):
            operands = case.operands(0)
            content = case.file(operands)
            name = TfliteFile(content).input_names()[0]
            answers = answers_of(content, {name: packed(operands[0])})
            assert_repeats(answers, kernels="avx512", num_threads=2)
    finally:
        monkeypatch.undo()
        delegate._library.cache_clear()


@pytest.mark.parametrize("files", [100, pytest.param(4000, marks=pytest.mark.slow)])
def test_damaged_files_run_or_are_refused(files, tmp_path):
    cases = [
        Case(height=3, width=3, output=output, channels_in=40)
        for output in ("float32", "int8", "bits")
    ]
    sound = []
    for case in cases:
        operands = case.operands(0)
        sound.append((case.file(operands), np.ascontiguousarray(packed(operands[0]))))
    (tmp_path / "files").write_bytes(pickle.dumps(sound))
    run = subprocess.run(
        [sys.executable, HERE / "fuzz_files.py", tmp_path / "files", str(files), "1"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    ran, refused = (int(word) for word in run.stdout.split() if word.isdigit())
    assert ran > files / 10 and refused > files / 10
