"""Imports on a board, where there is no TensorFlow."""

import subprocess
import sys

PROGRAM = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "larq", "larq_compute_engine", "rich"):
            raise ImportError(f"{name} is not for boards")

sys.meta_path.insert(0, Refuse())
import converters
import converters.profiling
import converters.packages.replaying
from converters import Interpreter
from larq_bnnopt.cli import main
from larq_bnnopt.cli.console import print_rows

print_rows("times", [("operator", "ms"), ("LceBconv2d", "1.25")])
try:
    main(["verify", "no_such_folder"])
    main(["profile", "no_such_file"])
    main(["predict", "no_such_package", "photo.jpg"])
    open("model.keras", "w").close()
    print(main(["convert", "model.keras", "--dataset", "fashion_mnist_mini"]))
finally:
    print({"tensorflow", "larq", "larq_compute_engine"} & set(sys.modules))
"""


def test_boards_import_no_tensorflow(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    lines = run.stdout.splitlines()
    assert lines[:3] == ["times", "  operator    ms", "  LceBconv2d  1.25"], run.stderr
    assert lines[-1] == "set()"
    assert "no_such_folder does not exist" in run.stderr
    assert "no_such_file does not exist" in run.stderr
    assert "no_such_package does not exist" in run.stderr
    assert "is not for boards" in run.stderr or "TensorFlow" in run.stderr
