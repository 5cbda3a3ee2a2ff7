"""`bnnopt doctor`, also where little is installed."""

import os
import pathlib
import subprocess
import sys
import venv

import pytest

import larq_bnnopt
from larq_bnnopt.cli import doctor

BNNOPT = pathlib.Path(sys.executable).with_name("bnnopt")
SITE = pathlib.Path(larq_bnnopt.__file__).parent.parent


@pytest.mark.slow
def test_everything_works_here(tmp_path):
    run = subprocess.run(
        [BNNOPT, "doctor"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Everything works." in run.stdout
    for name in ("tensorflow", "larq-compute-engine", "converter", "runtime"):
        (line,) = (x for x in run.stdout.splitlines() if x.split()[:1] == [name])
        assert " ok" in line


def bare_environment(folder, *distributions):
    """A virtual environment with this project and empty distributions alone."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in (
        "larq_bnnopt",
        "zoo_extensions",
        "converters",
        "_larq_bnnopt_keras.py",
        "_larq_bnnopt_start.py",
    ):
        (site / name).symlink_to(SITE / name)
    for name, version in distributions:
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("")

    def run(*words):
        program = "import sys, _larq_bnnopt_start as s; sys.exit(s.main())"
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        return subprocess.run(
            [folder / "bin" / "python", "-c", program, *words],
            capture_output=True, text=True, env=env,
        )  # fmt: skip

    return run


def test_explains_where_nothing_is_installed(tmp_path):
    run = bare_environment(tmp_path / "bare")("doctor")
    assert run.returncode == 1 and not run.stderr
    assert 'pip install "tensorflow==2.' in run.stdout
    assert 'pip install "larq-compute-engine==0.16.0"' in run.stdout
    assert "No module named" in run.stdout


def test_explains_the_wrong_keras(tmp_path):
    """Keras 3 without tf-keras: the package cannot be imported, the doctor runs."""
    wrong = [("tensorflow", "2.19.1"), ("keras", "3.5.0")]
    run = bare_environment(tmp_path / "wrong", *wrong)
    result = run("doctor")
    assert result.returncode == 1 and not result.stderr
    assert "pip install 'tf-keras~=2.19.0'" in result.stdout
    result = run("train")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "larq needs Keras 2" in result.stderr


def test_a_python_without_a_row_still_runs_files(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "row_of", lambda version: None)
    assert doctor.doctor() == 0
    said = capsys.readouterr().out
    assert "train and convert with Python 3.10, 3.11 or 3.12" in said
    (line,) = (x for x in said.splitlines() if x.split()[:1] == ["kernels"])
    assert " ok " in line
    assert "training" not in said and "Everything works." in said


def test_a_board_needs_no_tensorflow(tmp_path):
    """The kernels are there, and what is named LiteRT here is empty."""
    run = bare_environment(
        tmp_path / "board", ("ai_edge_litert", "1.4.0"), ("numpy", "2.1.0")
    )("doctor")
    assert run.returncode == 1 and not run.stderr
    assert "files are run here, and nothing is trained" in run.stdout
    assert "tensorflow " not in run.stdout and "larq" not in run.stdout
    (line,) = (x for x in run.stdout.splitlines() if x.split()[:1] == ["kernels"])
    assert "FAILS" in line
    assert "ai-edge-litert==2.3.0" in run.stdout
