"""Checks the installed versions and what works with them; says what to install.

Exits with 1 if anything that this Python can have is missing or does not work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

# This file imports nothing beside Python's own library: it must also run, on its own,
# where the package cannot be imported.

_ANY = "any version"
_COMMON = {
    "larq": "0.14.0",
    "larq-zoo": "2.4.0",
    "larq-compute-engine": "0.16.0",
    "numpy": "below 2",
    "tensorflow-datasets": _ANY,
    "matplotlib": _ANY,
    "rich": _ANY,
}
ROWS = {
    "reference row": {"tensorflow": "2.15.1", **_COMMON},
    "newer row": {"tensorflow": "2.19.1", "tf-keras": "2.19.0", **_COMMON},
}

NO_ROW = (
    "No TensorFlow that works with larq is for this Python: train and convert with "
    "Python 3.10, 3.11 or 3.12."
)

# What a device needs that runs files and trains nothing.
BOARD = {"numpy": _ANY, "ai-edge-litert": _ANY}

# These run in another process: a wrong library may end it.
_STEP = """
import json, os
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

def step(name, call):
    print("@" + json.dumps(["start", name]), flush=True)
    value = call()
    print("@" + json.dumps(["done", name, str(value or "")[:200]]), flush=True)
    return value

def kernels():
    from converters.runtime import delegate
    litert, known = delegate.ready_litert(), delegate.known_kernels()
    here = [name for name, runs in known.items() if runs]
    return f"{', '.join(here)}; in {litert}"

"""
_KERNEL_TEST = """
step("kernels", kernels)
"""
_SELF_TEST = """
def training():
    import larq_bnnopt.optimizers as optimizers
    import numpy as np, tensorflow as tf, zoo_extensions as zx
    model = zx.TinyResidualBNN(input_shape=(8, 8, 1), latent_weights=False)
    optimizer = optimizers.CaseOptimizer(
        (optimizers.Diode.is_binary_variable, optimizers.Diode()),
        default_optimizer=tf.keras.optimizers.Adam(),
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    model.fit(images, np.arange(4), verbose=0)
    return model, images

def runtime():
    verification = converters.verify(model, content, images)
    if not verification.passed:
        raise RuntimeError(f"the file computes something else: {verification}")

model, images = step("training", training)
import converters
content = step("converter", lambda: converters.convert(model, inputs=None).content)
step("runtime", runtime)
"""
_STEPS = {
    "kernels": "this package's kernels run .tflite files",
    "training": "a step with Diode and Adam",
    "converter": "Larq Compute Engine makes a .tflite with binary kernels",
    "runtime": "Larq Compute Engine runs it here and agrees with Keras",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no options."""


def run(arguments: argparse.Namespace) -> int:
    """Checks this machine."""
    return doctor()


def doctor() -> int:
    """Prints versions and what works; returns 0 if everything does."""
    print(
        f"Python {platform.python_version()} on {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} processors"
    )
    name = row_of(sys.version_info[:2])
    without = _version("tensorflow") is None and (
        name is None or bool(_version("ai-edge-litert")) or not _has_converter()
    )
    if without:
        print(
            "Without TensorFlow files are run here, and nothing is trained or "
            "converted.\n" + (f"{NO_ROW}\n" if name is None else "")
        )
        advice = _print_versions(BOARD)
    elif name is None:
        print(NO_ROW)
        advice = []
    else:
        print(f"It belongs to the {name}: TensorFlow {ROWS[name]['tensorflow']}.\n")
        advice = _print_versions(ROWS[name])
    print()
    advice += _print_steps(("kernels",), *self_test(_KERNEL_TEST))
    if name is not None and not without:
        advice += _print_steps(
            ("training", "converter", "runtime"), *self_test(_SELF_TEST)
        )
    if not advice:
        print("\nEverything works.")
        return 0
    print("\nTo do:")
    for line in dict.fromkeys(advice):
        print(f"  {line}")
    return 1


def row_of(version: tuple[int, ...]) -> str | None:
    """Returns the name of the row that a version of Python belongs to.

    Example:
        >>> row_of((3, 11)), row_of((3, 12)), row_of((3, 14))
        ('reference row', 'newer row', None)
    """
    if (3, 10) <= version < (3, 12):
        return "reference row"
    return "newer row" if version == (3, 12) else None


def _print_versions(row: dict[str, str]) -> list[str]:
    """Prints the installed and the wanted versions; returns what to install."""
    advice = []
    for name, wanted in row.items():
        found = _version(name)
        good = found is not None and _fits(found, wanted)
        mark = "ok" if good else "missing" if found is None else "other version"
        if found is None and name == "larq-compute-engine" and not _has_converter():
            mark = "none for this machine: convert on x86-64"
        elif not good:
            pin = {_ANY: "", "below 2": "<2"}.get(wanted, f"=={wanted}")
            advice.append(f'pip install "{name}{pin}"')
        print(f"  {name:20} {found or '-':10} wanted: {wanted:12} {mark}")
    return advice


def _version(name: str) -> str | None:
    # TensorFlow's wheels for some machines go by other names.
    others = {"tensorflow": ("tensorflow-cpu", "tensorflow-intel", "tensorflow-macos")}
    for candidate in (name, *others.get(name, ())):
        try:
            return metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return None


def _fits(found: str, wanted: str) -> bool:
    if wanted == "below 2":
        return int(found.split(".")[0]) < 2
    return wanted in (_ANY, found)


def _has_converter() -> bool:
    return sys.platform != "linux" or platform.machine() == "x86_64"


def self_test(program: str) -> tuple[dict[str, str], str]:
    """Runs steps in another process.

    Args:
        program: The steps as a program.

    Returns:
        The steps that worked with their results, and the last line of the error of the
        step that did not.
    """
    try:
        process = subprocess.run(
            [sys.executable, "-c", _installed_first() + _STEP + program],
            capture_output=True,
            text=True,
            timeout=300,
        )
    except subprocess.TimeoutExpired:
        return {}, "no answer within 300 s"
    except OSError as error:
        return {}, str(error)
    messages: list[Any] = [
        json.loads(line[1:])
        for line in process.stdout.splitlines()
        if line.startswith("@")
    ]
    done = {message[1]: message[2] for message in messages if message[0] == "done"}
    if process.returncode == 0:
        return done, ""
    if process.returncode < 0:
        return done, f"the process ended with signal {-process.returncode}"
    lines = process.stderr.strip().splitlines() or ["no message"]
    return done, lines[-1]


def _installed_first() -> str:
    """Returns a line of code that sets the paths of imports in another process.

    It imports what this process imports, and nothing from the current folder only
    because the command was called there.
    """
    here = {"", os.curdir, os.getcwd()}
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [
        path for path in sys.path if path not in here or path in filter(None, given)
    ]
    return f"import sys; sys.path[:] = {paths!r}\n"


def _print_steps(steps: tuple[str, ...], done: dict[str, str], error: str) -> list[str]:
    """Prints which steps worked; returns advice for the others."""
    failed = False
    for name in steps:
        mark = "ok" if name in done else "not tried" if failed else "FAILS"
        if (
            mark == "FAILS"
            and name in ("converter", "runtime")
            and not _has_converter()
        ):
            mark = "none here"
        failed = failed or mark == "FAILS"
        result = done.get(name) if name == "kernels" else ""
        print(f"  {name:20} {mark:10} {_STEPS[name]}{f' ({result})' if result else ''}")
        if mark == "FAILS":
            print(f"  {'':20} {error}")
    if not failed:
        return []
    if "kernels" in steps and "not built" in error:
        return [
            "For kernels: a C compiler, then in the repository: pip install "
            "--force-reinstall --no-deps ."
        ]
    if steps == ("kernels",):
        return ["For kernels: pip install --force-reinstall ai-edge-litert==2.3.0"]
    return ["Fix the versions above, in a fresh virtual environment: pip install ."]


if __name__ == "__main__":
    sys.exit(doctor())
