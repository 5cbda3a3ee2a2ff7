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
        "_larq_bnnopt_keras.py",
        "_larq_bnnopt_hook.py",
        "_larq_bnnopt_start.py",
        "larq_bnnopt.pth",
        "__pycache__",
        "..",
    }
    assert "larq_bnnopt.pth" in tops
    licences = [path.name for path in files if "licenses" in path.parts]
    assert sorted(licences) == ["LICENSE", "LICENSE-fashion-mnist.txt"]
    assert sum(path.name == "py.typed" for path in files) == 3


def test_the_citation_names_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {larq_bnnopt.__version__}\n" in citation


# Beside the sources, where the current folder comes first.

TELLS = """
import warnings
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import converters
    from converters.runtime.delegate import SELF_TEST
    backends = {converters.Interpreter(SELF_TEST).backend for _ in range(2)}
print(converters.__file__, backends, [str(one.message) for one in told])
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the sources, where no kernels are built."""
    folder = tmp_path_factory.mktemp("sources") / "checkout"
    folder.mkdir()
    ignored = shutil.ignore_patterns("*.so", "__pycache__", "data")
    for name in ("converters", "larq_bnnopt", "zoo_extensions"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "_larq_bnnopt_keras.py", folder)
    return folder


def test_commands_judge_what_is_installed(sources):
    """The doctor looks at the kernels that `bnnopt` would use, wherever it is asked."""
    program = (
        "import sys; sys.path[:] = [p for p in sys.path if p]\n"
        "from larq_bnnopt.cli import doctor\n"
        "print(doctor.__file__, *doctor.self_test(doctor._KERNEL_TEST), sep='\\n')"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=sources,
        capture_output=True,
        text=True,
        check=True,
    )
    path, done, error = run.stdout.splitlines()
    assert not path.startswith(str(sources))
    assert "kernels" in done and error == ""


def test_a_source_tree_says_once_that_it_has_no_kernels(sources):
    run = subprocess.run(
        [sys.executable, "-c", TELLS],
        cwd=sources,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith(str(sources)) and "{'lce'}" in run.stdout
    assert run.stdout.count("no binary kernels are built") == 1
    assert str(sources) in run.stdout.split("[")[1]


def test_a_source_tree_names_the_copy_that_has_kernels(sources, tmp_path):
    """Also where a build left its metadata beside the sources."""
    (tmp_path / "converters" / "runtime").mkdir(parents=True)
    (tmp_path / "converters" / "runtime" / "libbnn.so").touch()
    for folder in (
        sources / "larq_bnnopt.egg-info",
        tmp_path / "larq_bnnopt.dist-info",
    ):
        folder.mkdir()
        for name in ("METADATA", "PKG-INFO"):
            (folder / name).write_text("Name: larq-bnnopt\nVersion: 0.1\n")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-c", TELLS],
        cwd=sources,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"The copy in {tmp_path} has them" in run.stdout


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
    assert "zoo_extensions/__init__.pyi" in files
    if compiler == "false":
        assert wheel.name.endswith("-0nokernels-py3-none-any.whl")
        assert library not in files and "converters/runtime/delegate.py" in files
    else:
        assert "nokernels" not in wheel.name and "-py3-none-linux_" in wheel.name
        assert library in files
