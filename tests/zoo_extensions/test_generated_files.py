"""Files generated from the networks: the stub for editors, the page of the docs."""

import collections
import importlib.util
import inspect
import pathlib
import shutil
import subprocess
import sys

import pytest

import zoo_extensions as zx

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = pathlib.Path(zx.__file__).parent

USE = """\
import zoo_extensions as zx

reveal_type(zx.MeliusNet22)
zx.MeliusNet22(num_classes=10, input_shape=[64, 64, 3], stem="cifar")
zx.BiRealNet20.factory(blocks=(1, 1, 1)).build()
reveal_type(zx.list_models("melius*"))
zx.MeliusNet22(number=10)
zx.MeliusNet22(num_classes="ten")
zx.MeliusNet22(10)
zx.AudioMLP(pad_values=1.0)
zx.MeliusNet23
"""
ANSWERS = {
    3: "_MeliusNet22",
    6: "list[str]",
    7: 'Unexpected keyword argument "number"',
    8: 'Argument "num_classes" to "__call__" of "_MeliusNet22" has incompatible type',
    9: "Too many positional arguments",
    10: 'Unexpected keyword argument "pad_values"',
    11: "Module has no attribute",
}


def tool(name):
    path = ROOT / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stub_is_current_and_installed():
    installed = (PACKAGE / "__init__.pyi").read_text(encoding="utf-8")
    generated = tool("build_zoo_stub").stub()
    assert installed == generated, "run python tools/build_zoo_stub.py"
    for name in zx.__all__:
        assert hasattr(zx, name)


def test_the_page_is_current():
    networks = tool("build_networks_page")
    written = networks.PAGE.read_text(encoding="utf-8")
    assert written == networks.page(), "run python tools/build_networks_page.py"
    for name in zx.list_models():
        assert written.count(f"`{name}`. ") == 1


def test_the_stub_holds_every_argument():
    text = tool("build_zoo_stub").stub()
    for name in zx.list_models():
        function = zx.registry._MODELS[name]
        _, after = text.split(f"\nclass _{function.__name__}(_Network):")
        signature = after.split("-> tf.keras.Model")[0]
        for argument in inspect.signature(function).parameters:
            assert f"        {argument}: " in signature


def test_a_type_checker_uses_it(tmp_path):
    pytest.importorskip("mypy")
    # A copy: mypy finds no package that is installed in editable mode.
    shutil.copytree(PACKAGE, tmp_path / "zoo_extensions")
    program = tmp_path / "use.py"
    program.write_text(USE)
    options = [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={tmp_path}"]
    # A process, because mypy changes how garbage is collected where it runs.
    command = [sys.executable, "-m", "mypy", *options, str(program)]
    run = subprocess.run(command, capture_output=True, text=True)
    answer = run.stdout
    assert run.stderr == ""
    said = collections.defaultdict(str)
    for line in answer.splitlines():
        if line.startswith(str(program)) and '"__call__" defined in' not in line:
            number, text = line.removeprefix(f"{program}:").split(":", 1)
            said[int(number)] += text
    assert said.keys() == ANSWERS.keys(), answer
    for number, text in ANSWERS.items():
        assert text in said[number]
