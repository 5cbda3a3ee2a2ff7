"""Results of runs: one JSON line a run, which several processes add to; CSV."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from larq_bnnopt import recipe_fields
from larq_bnnopt.writing import replacing, write_bytes

NAME = "results.jsonl"
# Where the data lie says nothing about the result.
_MAY_DIFFER = ("data_dir",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResult:
    """The result of one run.

    Attributes:
        study: Name of the study.
        arm: Name of the setting.
        seed: The seed.
        kind: The kind of recipe.
        fields: All fields of the recipe.
        series: Lists of numbers by name, most of them a number an epoch; `None` where
            an epoch has none.
        numbers: Numbers by name.
        facts: Sizes of data and model.
        quick: Whether it was a run of few steps, which shows nothing.
        diverged: Whether the loss became NaN or infinite.
        seconds: Time of the training.
        commit: Commit or version of the code.
        processor: What it was trained on.
        versions: Versions of the packages.
    """

    study: str
    arm: str
    seed: int
    kind: str
    fields: Mapping[str, Any]
    series: Mapping[str, Sequence[float | None]]
    numbers: Mapping[str, float]
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    quick: bool = False
    diverged: bool = False
    seconds: float = 0.0
    commit: str = ""
    processor: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_numbers(
        cls,
        arm: str,
        seed: int,
        numbers: Mapping[str, float] | None = None,
        series: Mapping[str, Sequence[float | None]] | None = None,
        **others: Any,
    ) -> RunResult:
        """Returns a result of given numbers, with defaults for the rest."""
        kind = others.pop("kind", "one_step")
        fields = {**recipe_fields.defaults_of(kind), "seed": seed}
        fields.update(others.pop("fields", {}))
        return cls(
            study=others.pop("study", ""),
            arm=arm,
            seed=seed,
            kind=kind,
            fields=fields,
            numbers=numbers or {},
            series=series or {},
            **others,
        )

    @property
    def key(self) -> tuple[str, int]:
        """Setting and seed."""
        return self.arm, self.seed

    def line(self) -> str:
        """Returns the result as a line of JSON."""
        return json.dumps(dataclasses.asdict(self), allow_nan=False)


def beside(path: str | os.PathLike[str], process: int | str) -> pathlib.Path:
    """Returns the file of a process that could not have the lock of the folder.

    Args:
        path: The file of the results, such as `results.jsonl`.
        process: Number of the process.

    Example:
        >>> beside("results.jsonl", 7).name
        'results.7.jsonl'
    """
    path = pathlib.Path(path)
    return path.with_name(f"{path.stem}.{process}{path.suffix}")


def files(path: str | os.PathLike[str]) -> list[pathlib.Path]:
    """Returns the file of the results and those that processes left beside it."""
    path = pathlib.Path(path)
    return [path, *sorted(path.parent.glob(beside(path, "*").name))]


def read(path: str | os.PathLike[str]) -> list[RunResult]:
    """Reads the results of a file, none if there is no file.

    Raises:
        ValueError: If a line is damaged; it names the file and the line.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            found.append(RunResult(**json.loads(line)))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{path}, line {number}, is damaged ({error}). Restore it, or remove "
                "the line: its run is then trained again."
            ) from error
    return found


def add(path: str | os.PathLike[str], result: RunResult) -> None:
    """Adds a result to a file, whole or not at all.

    The lock of the folder must be held. Nothing that stands there is read, so that a
    damaged line loses no run.
    """
    path = pathlib.Path(path)
    before = path.read_bytes() if path.exists() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    write_bytes(path, before + result.line().encode() + b"\n")


def require_same_recipe(
    path: str | os.PathLike[str],
    results: Iterable[RunResult],
    fields: Mapping[tuple[str, int], Mapping[str, Any]],
    quick: bool,
) -> None:
    """Refuses results of other settings, which would be compared with new ones.

    Args:
        path: The file of the results, for the error text.
        results: The results.
        fields: The fields of the recipes now, by setting and seed.
        quick: Whether the runs now are quick ones.

    Raises:
        ValueError: If a result was trained by other settings; it names the line.
    """
    for number, result in enumerate(results, start=1):
        now = fields.get(result.key)
        problem = None
        if now is None:
            continue
        if result.quick != quick:
            words = {True: "with --quick", False: "without --quick"}
            problem = f"{words[result.quick]}, and now it runs {words[quick]}"
        then = recipe_fields.with_later_fields(result.kind, result.fields)
        for name, value in _plain(now).items():
            if name not in _MAY_DIFFER and _plain(then).get(name) != value:
                problem = f"with {name}={then.get(name)!r}, and now it has {value!r}"
                break
        if problem:
            raise ValueError(
                f"{path}, line {number}: {result.arm!r} was trained {problem}. Give "
                "the same options, or another --folder."
            )


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(fields))


def write_csv(path: str | os.PathLike[str], results: Sequence[RunResult]) -> None:
    """Writes all results to a CSV file, one row a run.

    A series is one cell, its numbers separated by blanks.

    Args:
        path: The file.
        results: The results.
    """
    rows = [_row(result) for result in results]
    header = list(dict.fromkeys(name for row in rows for name in row))
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _row(result: RunResult) -> dict[str, Any]:
    return {
        "study": result.study,
        "arm": result.arm,
        "seed": result.seed,
        "recipe": result.kind,
        **{name: _cell(v) for name, v in result.fields.items() if name != "seed"},
        **{f"measure:{name}": f"{v:.6g}" for name, v in result.numbers.items()},
        **{f"series:{name}": _series(v) for name, v in result.series.items()},
        **{name: _cell(value) for name, value in result.facts.items()},
        "quick": result.quick,
        "diverged": result.diverged,
        "seconds": f"{result.seconds:.1f}",
        "commit": result.commit,
        "processor": result.processor,
        "versions": " ".join(f"{k}={v}" for k, v in result.versions.items()),
    }


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list, tuple)) else value


def _series(values: Sequence[float | None]) -> str:
    return " ".join("-" if value is None else f"{value:.6g}" for value in values)
