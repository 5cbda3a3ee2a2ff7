"""LiteRT with the binary kernels as a backend: load, self-test, run.

LiteRT's wheels promise no stable ABI for delegates. So each version must pass a
self-test on a small network before it is used. Versions that the tests do not cover run
it in a process of their own, since a changed ABI may end the process.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import importlib
import os
import pathlib
import platform
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Sequence
from importlib import metadata
from types import ModuleType

import numpy as np

from converters.runtime.processes import OfOneProcess, keep_for_ever, one_line
from converters.runtime.schema import NO_LITERT

HERE = pathlib.Path(__file__).parent
LIBRARY = HERE / "libbnn.so"
SELF_TEST = HERE / "self_test.tflite"
SELF_TEST_ANSWER = HERE / "self_test.npy"

# The versions that the tests cover.
TESTED = {
    "ai-edge-litert": ("1.4.0", "2.3.0"),
    "tensorflow": ("2.15.1", "2.19.1"),
}
_MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}
_DISTRIBUTIONS = {"tensorflow": ("tensorflow", "tensorflow-cpu")}
_SECONDS = 120
_SELF_TEST_TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class LiteRt:
    """An installed LiteRT.

    Attributes:
        name: The distribution, `"ai-edge-litert"` or `"tensorflow"`.
        version: Its version.
    """

    name: str
    version: str

    @property
    def tested(self) -> bool:
        """Whether the tests cover this version."""
        return self.version in TESTED[self.name]

    def module(self) -> ModuleType:
        """Imports its interpreter.

        Raises:
            ImportError: If it is installed and does not load.
        """
        try:
            return importlib.import_module(_MODULES[self.name])
        except ImportError as error:
            raise ImportError(
                f"{self} is installed and does not load: {error}"
            ) from error

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def installed_litert() -> LiteRt | None:
    """Returns the LiteRT to use, `None` if there is none.

    ai-edge-litert, which is small, comes before TensorFlow, which contains LiteRT, too.
    """
    for name in _MODULES:
        for distribution in _DISTRIBUTIONS.get(name, (name,)):
            try:
                return LiteRt(name, metadata.version(distribution))
            except metadata.PackageNotFoundError:
                continue
    return None


def default_kernels() -> str:
    """Returns the name of the fastest kernels for this host, as `"avx2"` or `"neon"`.

    Raises:
        ImportError: If the library was not built, or does not load.
    """
    return _library().bnn_default_kernels().decode()


def known_kernels() -> dict[str, bool]:
    """Returns the kernels in the library, and whether this processor can run them.

    Raises:
        ImportError: As `default_kernels`.
    """
    library = _library()
    names = library.bnn_known_kernels().decode().split()
    return {name: bool(library.bnn_has_kernels(name.encode())) for name in names}


def ready_litert() -> LiteRt:
    """Returns the LiteRT of this environment after its self-test.

    The test runs once for each process.

    Raises:
        ImportError: If there is no LiteRT, or the library of kernels is missing.
        RuntimeError: If it fails the self-test.
    """
    outcome = _outcome()
    if isinstance(outcome, Exception):
        # A new one: a traceback would keep every caller's variables for ever.
        raise type(outcome)(*outcome.args)
    return outcome


@functools.cache
def _outcome() -> LiteRt | Exception:
    try:
        _library()
    except ImportError as error:
        return ImportError(*error.args)
    litert = installed_litert()
    if litert is None:
        return ImportError(NO_LITERT)
    problem = run_self_test(litert) if litert.tested else _tested_apart(litert)
    if problem is not None:
        versions = ", ".join(TESTED["ai-edge-litert"])
        return RuntimeError(
            f"{litert} does not work with the binary kernels: {problem}. Versions of "
            f"ai-edge-litert that do: {versions}."
        )
    return litert


def run_self_test(litert: LiteRt) -> str | None:
    """Returns why a LiteRT fails the self-test, `None` if it passes."""
    image = self_test_input()
    try:
        engine = DelegateEngine(SELF_TEST.read_bytes(), 2, litert)
        answer = np.concatenate([array.ravel() for array in engine.run([image])])
    except (ValueError, RuntimeError) as error:
        return str(error)
    expected = np.load(SELF_TEST_ANSWER, allow_pickle=False)
    difference = np.abs(answer - expected).max() / np.abs(expected).max()
    if not difference <= _SELF_TEST_TOLERANCE:
        return f"the answer of the self-test is {difference:.1e} off"
    return None


def self_test_input() -> np.ndarray:
    """Returns the image of the self-test: no value is near zero."""
    numbers = np.arange(7 * 7 * 40).reshape(1, 7, 7, 40)
    return (numbers * 37 % 101 - 50.5).astype(np.float32)


def _tested_apart(litert: LiteRt) -> str | None:
    """Runs the self-test in a process of its own."""
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from converters.runtime import delegate\n"
        "litert = delegate.installed_litert()\n"
        "sys.exit(delegate.run_self_test(litert))"
    )
    try:
        process = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"the self-test could not be run: {error}"
    if process.returncode < 0:
        return f"the self-test ended with signal {-process.returncode}"
    if process.returncode:
        lines = process.stderr.strip().splitlines()
        return lines[-1] if lines else f"the self-test ended with {process.returncode}"
    return None


class DelegateEngine(OfOneProcess):
    """A file in LiteRT's interpreter, with the binary kernels.

    Args:
        content: The file.
        num_threads: Threads to compute with.
        litert: The LiteRT.
        kernels: Name of the kernels. Defaults to `None`, the fastest ones.

    Raises:
        ValueError: If LiteRT cannot run the file, or the host cannot run the kernels.
    """

    def __init__(
        self,
        content: bytes,
        num_threads: int,
        litert: LiteRt,
        kernels: str | None = None,
    ):
        super().__init__(num_threads)
        module = litert.module()
        known = known_kernels()
        if kernels is not None and (kernels not in list(known) or not known[kernels]):
            here = [name for name, runs in known.items() if runs]
            raise ValueError(f"kernels must be one of {here}. Received: {kernels!r}")
        options = None if kernels is None else {"kernels": kernels}
        self._delegate = module.load_delegate(os.fspath(LIBRARY), options)
        try:
            with warnings.catch_warnings():
                # TensorFlow 2.19 advertises another package, which is not needed.
                warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
                self._interpreter = module.Interpreter(
                    model_content=content,
                    num_threads=num_threads,
                    experimental_delegates=[self._delegate],
                )
            # At exit, Python would end it after the modules that it needs.
            weakref.finalize(self, _let_go, vars(self))
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, MemoryError) as error:
            raise ValueError(
                f"{litert} cannot run this file: {one_line(error)}"
            ) from error
        self._lock = threading.Lock()
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs the file once, on arrays of exactly the shapes of its inputs."""
        self.check_process()
        # Another thread could set its inputs between these and the run.
        with self._lock:
            for details, array in zip(self._inputs, arrays, strict=True):
                self._interpreter.set_tensor(details["index"], array)
            try:
                self._interpreter.invoke()
            except (RuntimeError, ValueError) as error:
                raise ValueError(f"The file does not run: {one_line(error)}") from error
            return [self._interpreter.get_tensor(one["index"]) for one in self._outputs]

    def resize(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Changes the shapes of the inputs.

        Raises:
            ValueError: If an operator does not support them.
        """
        self.check_process()
        try:
            for details, shape in zip(self._inputs, shapes, strict=True):
                self._interpreter.resize_tensor_input(details["index"], shape)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ValueError(one_line(error)) from error

    def output_shapes(self) -> list[tuple[int, ...]]:
        """Returns the shapes of the outputs, batch included."""
        details = self._interpreter.get_output_details()
        return [tuple(int(size) for size in one["shape"]) for one in details]

    def times(self) -> list[tuple[int, int, int]]:
        """Returns index, start and end of each binary operator in the last run.

        Times are nanoseconds of a monotonic clock; the order is that of the run.
        """
        pointer = ctypes.c_void_p(self._delegate._get_native_delegate_pointer())
        library = _library()
        number = library.bnn_times(pointer, 0, None)
        rows = (ctypes.c_int64 * 3 * number)()
        library.bnn_times(pointer, number, rows)
        return sorted((tuple(row) for row in rows), key=lambda row: row[1])


def _let_go(attributes: dict[str, object]) -> None:
    """Ends the interpreter before the delegate that it refers to."""
    if os.getpid() != attributes["_process"]:
        # Its threads are not here, and its destructor would wait for them.
        for name in ("_interpreter", "_delegate"):
            keep_for_ever(attributes.get(name))
    attributes.pop("_interpreter", None)
    attributes.pop("_delegate", None)


@functools.cache
def _library() -> ctypes.CDLL:
    if not LIBRARY.exists():
        raise ImportError(
            f"The binary kernels are not built ({LIBRARY.name} is missing). Install a "
            "wheel with them, or a C compiler and then this package again: pip install "
            "--force-reinstall --no-deps . in its repository"
        )
    try:
        library = ctypes.CDLL(os.fspath(LIBRARY))
    except OSError as error:
        raise ImportError(
            f"The binary kernels do not load on this {platform.machine()}: {error}"
        ) from error
    library.bnn_default_kernels.restype = ctypes.c_char_p
    library.bnn_known_kernels.restype = ctypes.c_char_p
    return library
