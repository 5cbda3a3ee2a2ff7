"""Keras 2 is chosen before TensorFlow resolves tf.keras, or one line says why not."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf


@pytest.fixture
def python(tmp_path):
    """Runs a program in a folder of its own, away from the checkout."""

    def run(program, **env):
        clean = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
        return subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**clean, "TF_CPP_MIN_LOG_LEVEL": "3", **env},
        )

    return run


@pytest.mark.parametrize(
    "package",
    ["larq_bnnopt"]
    + [
        pytest.param(p, marks=pytest.mark.slow)
        for p in ("zoo_extensions", "converters")
    ],
)
@pytest.mark.parametrize("order", ["{0}, tensorflow as tf", "tensorflow as tf, {0}"])
def test_either_order_of_imports_gives_keras_2(package, order, python):
    program = f"""
import {order.format(package)}
import tensorflow.keras.optimizers
from tensorflow.keras.optimizers import legacy
print(tf.keras.optimizers.legacy.Adam, legacy.Adam)
assert tf.keras.optimizers.legacy.Adam is legacy.Adam
"""
    run = python(program)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("legacy.adam.Adam") == 2


newer_row = pytest.mark.skipif(
    tf.__version__.startswith("2.15"), reason="TensorFlow 2.15 has no Keras 3"
)


@newer_row
@pytest.mark.parametrize(
    "use",
    [
        "import tensorflow as tf; tf.keras.layers",
        "from tensorflow.keras import layers",
        "import tensorflow.keras",
    ],
)
def test_keras_3_in_use_is_one_line(use, python):
    run = python(f"{use}; import larq_bnnopt")
    (line,) = (x for x in run.stderr.splitlines() if x.startswith("ImportError"))
    assert "already uses Keras 3" in line and "TF_USE_LEGACY_KERAS=1" in line


@newer_row
def test_keras_3_asked_for_is_one_line(python):
    run = python("import larq_bnnopt", TF_USE_LEGACY_KERAS="0")
    (line,) = (x for x in run.stderr.splitlines() if x.startswith("ImportError"))
    assert "TF_USE_LEGACY_KERAS=0" in line and "set it to 1" in line


# larq before the packages, as isort would have it.

OF_KERAS_2 = "print(hasattr(tf.keras.layers, 'LocallyConnected1D'))"
START = pathlib.Path(__file__).parents[1] / "larq_bnnopt.pth"


@pytest.fixture
def started(python, tmp_path):
    """Runs a program as a Python that has read the file of the installed package."""
    (tmp_path / "site").mkdir()
    for path in (START, START.with_name("_larq_bnnopt_hook.py")):
        shutil.copy(path, tmp_path / "site")

    def run(program, **env):
        return python(f"import site; site.addsitedir('site')\n{program}", **env)

    return run


@pytest.mark.parametrize(
    "imports",
    [
        "larq, zoo_extensions",
        "larq_zoo, larq_bnnopt.optimizers",
        pytest.param("larq_compute_engine, converters", marks=pytest.mark.slow),
        pytest.param("tensorflow, larq, zoo_extensions", marks=pytest.mark.slow),
    ],
)
def test_larq_may_come_first(imports, started):
    run = started(f"import {imports}, tensorflow as tf; {OF_KERAS_2}")
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["True"]


@newer_row
def test_keras_3_in_use_before_larq_is_one_line_each_time(started):
    run = started("""
import tensorflow as tf
tf.keras.layers
for name in ("larq", "larq", "zoo_extensions"):
    try:
        __import__(name)
    except ImportError as error:
        print(error)
""")
    lines = run.stdout.splitlines()
    assert len(lines) == 3 and all("already uses Keras 3" in line for line in lines)


def test_a_process_without_larq_is_left_alone(started):
    """Keras stays what it is there, and nothing is imported for it."""
    program = """
import os, sys
assert not {"tensorflow", "_larq_bnnopt_keras"} & set(sys.modules)
import json, larq_of_nobody_knows
"""
    run = started(program)
    assert "No module named 'larq_of_nobody_knows'" in run.stderr, run.stderr
    run = started(f"import os, tensorflow as tf; {OF_KERAS_2}; print(*os.environ)")
    assert "TF_USE_LEGACY_KERAS" not in run.stdout
    assert run.stdout.split()[0] == str(tf.__version__.startswith("2.15"))
