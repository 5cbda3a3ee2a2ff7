"""Says which versions are here, what works with them, and what to install otherwise.

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

# Runs in a process of its own: a wrong library may end it.
_SELF_TEST = """
import json, os
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

def step(name, call):
    print("@" + json.dumps(["start", name]), flush=True)
    value = call()
    print("@" + json.dumps(["done", name]), flush=True)
    return value

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
    import converters
    verification = converters.verify(model, content, images)
    if not verification.passed:
        raise RuntimeError(f"the file computes something else: {verification}")

model, images = step("training", training)
import converters
content = step("converter", lambda: converters.convert(model, inputs=None).content)
step("runtime", runtime)
"""
_STEPS = {
    "training": "a step with Diode and Adam",
    "converter": "Larq Compute Engine makes a .tflite with binary kernels",
    "runtime": "the binary kernels run on this processor and agree with Keras",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no options."""


def run(arguments: argparse.Namespace) -> int:
    """Examines this machine."""
    return doctor()


def doctor() -> int:
    """Prints what is here and what works; returns 0 if everything does."""
    print(
        f"Python {platform.python_version()} on {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} processors"
    )
    name = row_of(sys.version_info[:2])
    if name is None:
        print(
            "This Python has no row of tested versions, so nothing can be trained or "
            "converted with it. Use Python 3.10, 3.11 or 3.12."
        )
        return 1
    print(f"It belongs to the {name}: TensorFlow {ROWS[name]['tensorflow']}.\n")
    advice = _print_versions(ROWS[name])
    print()
    advice += _print_steps(*self_test())
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
    """Prints the versions beside those of the row; returns what to install."""
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


def self_test() -> tuple[list[str], str]:
    """Runs a training step, a conversion and the file, in another process.

    Returns:
        The steps that worked, and the last line of the error of the one that did not.
    """
    try:
        process = subprocess.run(
            [sys.executable, "-c", _SELF_TEST],
            capture_output=True,
            text=True,
            timeout=300,
        )
    except subprocess.TimeoutExpired:
        return [], "no answer within 300 s"
    messages: list[Any] = [
        json.loads(line[1:])
        for line in process.stdout.splitlines()
        if line.startswith("@")
    ]
    done = [name for kind, name in messages if kind == "done"]
    if process.returncode == 0:
        return done, ""
    if process.returncode < 0:
        return done, f"the process ended with signal {-process.returncode}"
    lines = process.stderr.strip().splitlines() or ["no message"]
    return done, lines[-1]


def _print_steps(done: list[str], error: str) -> list[str]:
    """Prints what worked; returns what to do about the rest."""
    failed = False
    for name, meaning in _STEPS.items():
        mark = "ok" if name in done else "not tried" if failed else "FAILS"
        if mark == "FAILS" and name != "training" and not _has_converter():
            mark = "none here"
        failed = failed or mark == "FAILS"
        print(f"  {name:20} {mark:10} {meaning}")
        if mark == "FAILS":
            print(f"  {'':20} {error}")
    if not failed:
        return []
    return ["Mend the versions above, in a fresh virtual environment: pip install ."]


if __name__ == "__main__":
    sys.exit(doctor())
