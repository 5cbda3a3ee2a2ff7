"""What is tested is what is installed."""

import pathlib
import subprocess
import sys
import sysconfig
from importlib import metadata

import pytest

import converters
import larq_bnnopt
import zoo_extensions


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


@pytest.mark.parametrize("package", ["converters", "larq_bnnopt"])
def test_import_is_light(package, tmp_path):
    heavy = (
        "tensorflow larq zookeeper larq_zoo tensorflow_datasets matplotlib "
        "larq_compute_engine rich"
    )
    program = (
        f"import sys, {package}; "
        f"print(*[name for name in {heavy.split()!r} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == []


def test_recipes_pay_for_the_zoo_only_when_they_build(tmp_path):
    program = (
        "import sys, larq_bnnopt.recipes; "
        "print(*{'zoo_extensions', 'zookeeper', 'larq_zoo', 'matplotlib', "
        "'tensorflow_datasets', 'larq_compute_engine'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == []
