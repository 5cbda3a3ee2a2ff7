"""What is tested is what is installed."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata

import pytest

import converters
import larq_bnnopt
import zoo_extensions

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("package", [converters, larq_bnnopt, zoo_extensions])
def test_the_installed_package_is_tested(package):
    installed = pathlib.Path(sysconfig.get_paths()["purelib"]).resolve()
    assert pathlib.Path(package.__file__).resolve().is_relative_to(installed)


def test_nothing_else_is_installed():
    files = metadata.files("larq-bnnopt")
    tops = {path.parts[0] for path in files}
    assert {"larq_bnnopt", "zoo_extensions", "converters"} <= tops
    rest = {top for top in tops if not top.endswith(".dist-info")}
    # The command lies in a folder of the environment; byte code comes with pip.
    assert rest <= {
        "larq_bnnopt",
        "zoo_extensions",
        "converters",
        "_larq_bnnopt_start.py",
        "__pycache__",
        "..",
    }
    assert sum(path.name == "py.typed" for path in files) == 3


def loaded(module, names, folder):
    """Returns which of the names the import of a module loads, in a new process."""
    program = f"import sys, {module}; print(*{set(names.split())!r} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.split()


@pytest.mark.parametrize("package", ["converters", "larq_bnnopt"])
def test_import_is_light(package, tmp_path):
    heavy = (
        "tensorflow larq zookeeper larq_zoo tensorflow_datasets matplotlib "
        "larq_compute_engine rich"
    )
    assert loaded(package, heavy, tmp_path) == []


@pytest.mark.slow
def test_recipes_pay_for_the_zoo_only_when_they_build(tmp_path):
    zoo = (
        "zoo_extensions zookeeper larq_zoo matplotlib tensorflow_datasets "
        "larq_compute_engine"
    )
    assert loaded("larq_bnnopt.recipes", zoo, tmp_path) == []
    assert loaded("larq_bnnopt.recipes", "tensorflow", tmp_path) == ["tensorflow"]


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "false"])
def test_a_wheel_without_a_compiler_says_so_in_its_name(compiler, tmp_path):
    ignored = shutil.ignore_patterns(".*", "*.so", "build", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=ignored)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", source, "-w", "."],
        cwd=tmp_path,
        env={**os.environ, "CC": compiler},
        check=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("*.whl")
    library = "converters/runtime/libbnn.so"
    files = zipfile.ZipFile(wheel).namelist()
    if compiler == "false":
        assert wheel.name.endswith("-0nokernels-py3-none-any.whl")
        assert library not in files and "converters/runtime/delegate.py" in files
    else:
        assert "nokernels" not in wheel.name and "-py3-none-linux_" in wheel.name
        assert library in files
