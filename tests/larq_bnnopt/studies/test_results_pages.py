"""Published results: whole, of studies that exist, with the page that lists them."""

import csv
import importlib.util
import pathlib

import pytest

from larq_bnnopt import studies
from larq_bnnopt.studies.statistics import Verdict

ROOT = pathlib.Path(__file__).parents[3]
FOLDERS = sorted(
    path for path in (ROOT / "docs" / "results").iterdir() if path.is_dir()
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_result_is_whole(folder):
    study = studies.get(folder.name)
    page = (folder / "result.md").read_text("utf-8")
    assert studies.last_verdict([folder]) in [one.value for one in Verdict]
    assert study.claim in page and f"bnnopt study {study.name}" in page
    with (folder / "runs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # No quick run, and no code that was changed since its commit.
    assert all(row["quick"] == "False" and row["processor"] for row in rows)
    assert all(row["commit"].startswith("commit ") for row in rows)
    assert not any(row["commit"].endswith("+") for row in rows)
    assert len({row["seed"] for row in rows}) >= 5
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_list_is_current():
    path = ROOT / "tools" / "build_results_page.py"
    spec = importlib.util.spec_from_file_location("build_results_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text("utf-8") == module.page(), f"python {path}"
    assert all(folder.name in module.page() for folder in FOLDERS)
