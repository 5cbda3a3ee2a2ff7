"""The console script `bnnopt`.

It lies outside the packages so that `bnnopt doctor` can explain an import of them that
fails.
"""

import importlib.util
import os
import pathlib
import runpy
import sys


def main() -> int:
    """Runs the command `bnnopt`; returns its exit code."""
    try:
        from larq_bnnopt.cli import main as command
    except ImportError as error:
        if sys.argv[1:2] != ["doctor"]:
            print(f"bnnopt: {error}", file=sys.stderr)
            return 1
        # The doctor explains what the import of the package does not survive.
        package = importlib.util.find_spec("larq_bnnopt")
        if package is None or package.origin is None:
            raise
        doctor = pathlib.Path(package.origin).parent / "cli" / "doctor.py"
        return runpy.run_path(os.fspath(doctor))["doctor"]()
    return command()
