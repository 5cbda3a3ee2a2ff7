"""Run folders: the files of one training, by name."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import platform
import re
import warnings
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from larq_bnnopt import run_config, writing
from larq_bnnopt.recipes.locking import NAME, RunLock
from larq_bnnopt.recipes.recalibration import Recalibration

VERSIONED = (
    "larq-bnnopt",
    "tensorflow",
    "tf-keras",
    "larq",
    "larq-zoo",
    "larq-compute-engine",
    "numpy",
)
# The files of a run before its first epoch is complete.
_OF_NO_EPOCH = (
    "config.json",
    "tokenizer.json",
    "flips.csv",
    "flips_layers.csv",
    "flips_state.npz",
    "flips.png",
    # Written before the model of the epoch.
    "history.csv",
)


class Run:
    """The files of one training, by name.

    Args:
        folder: An existing folder.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = pathlib.Path(folder)

    @classmethod
    def create(cls, folder: str | os.PathLike[str]) -> Run:
        """Makes the folder of a new run.

        Raises:
            FileExistsError: If it exists: no run is ever overwritten.
        """
        cls.refuse_existing(folder)
        folder = pathlib.Path(folder)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # Another process was faster, or a parent is a file.
            cls.refuse_existing(folder)
            raise
        return cls(folder)

    @staticmethod
    def refuse_existing(folder: str | os.PathLike[str]) -> None:
        """Raises FileExistsError if there is such a folder, file or broken link."""
        if os.path.lexists(folder):
            raise FileExistsError(
                f"{os.fspath(folder)} exists and is not overwritten. Name another "
                "folder, or resume its training with --resume."
            )

    def locked(self) -> RunLock:
        """Takes the lock of the folder, for writing to it.

        Raises:
            RunInUseError: If another process holds it, or this one already does.
        """
        return RunLock(self.folder)

    @property
    def config(self) -> pathlib.Path:
        """Everything needed to repeat the run."""
        return self.folder / run_config.NAME

    @property
    def history(self) -> pathlib.Path:
        """Losses and metrics, a row an epoch."""
        return self.folder / "history.csv"

    @property
    def flips(self) -> pathlib.Path:
        """Flips, a row a step."""
        return self.folder / "flips.csv"

    @property
    def picture(self) -> pathlib.Path:
        """The picture of the flips."""
        return self.folder / "flips.png"

    @property
    def model(self) -> pathlib.Path:
        """The model with its optimizer as of the last complete epoch."""
        return self.folder / "model.keras"

    @property
    def recalibration(self) -> pathlib.Path:
        """The effect of re-estimated batch-norm statistics."""
        return self.folder / "recalibration.json"

    def read_recalibration(self) -> Recalibration | None:
        """Returns the effect of re-estimated batch-norm statistics, `None` without."""
        if not self.recalibration.exists():
            return None
        try:
            content = json.loads(self.recalibration.read_text("utf-8"))
            return Recalibration(**content)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self.recalibration} is damaged ({error}). Remove it; it is "
                "written again when the run is resumed."
            ) from error

    @property
    def tokenizer(self) -> pathlib.Path:
        """The tokenizer of a run on texts."""
        return self.folder / "tokenizer.json"

    @property
    def previous(self) -> pathlib.Path:
        """The model as of the epoch before, of the same stage."""
        return self.folder / "previous.keras"

    def step(self, number: int) -> pathlib.Path:
        """The model at the end of a stage, from 1, where others follow."""
        return self.folder / f"step{number}.keras"

    @property
    def tflite(self) -> pathlib.Path:
        """The converted model."""
        return self.folder / "model.tflite"

    def write_config(
        self, recipe: dict[str, Any], facts: Mapping[str, Any] | None = None
    ) -> None:
        """Writes the recipe, with the versions of the packages that run it.

        Args:
            recipe: The recipe as plain data.
            facts: What must not change until the run is resumed. Defaults to `None`.
        """
        content = {
            "recipe": recipe,
            "versions": versions(),
            "threads": threads(),
            "began_with": {"recipe": _digest(recipe), **(facts or {})},
        }
        self.write_text(run_config.NAME, json.dumps(content, indent=2) + "\n")

    def check_unchanged(self, facts: Mapping[str, Any]) -> None:
        """Refuses to resume with another recipe, other data or other files.

        Args:
            facts: The current ones, as for `write_config`.

        Raises:
            ValueError: If something has changed since the run began; it names it.
        """
        now = {"recipe": _digest(self.read_recipe()), **facts}
        began = self.read_facts() or now
        changed = [name for name in began if began[name] != now.get(name)]
        if changed:
            raise ValueError(
                f"Since {self.folder} began, this has changed: {', '.join(changed)}. "
                "Restore it to resume the run, or start a new one. Nothing is lost."
            )

    def warn_of_other_threads(self) -> None:
        """Warns if the run began with other threads, which round sums differently."""
        began, now = self._read_part("threads"), threads()
        if began and began != now:
            warnings.warn(
                f"{self.folder} began with the threads {began} and resumes with {now}. "
                "It trains as well, but no longer equals, in every bit, a run that was "
                "not interrupted.",
                stacklevel=3,
            )

    def read_recipe(self) -> dict[str, Any]:
        """Returns the recipe of the run.

        Raises:
            FileNotFoundError: If the folder holds no run.
            ValueError: If its configuration is damaged or belongs to something else, or
                a link leads out of the folder.
        """
        recipe = run_config.read_recipe(self.folder)
        self._refuse_links()
        return recipe

    def _refuse_links(self) -> None:
        """Refuses links that lead out of the folder, through which a command writes."""
        inside = self.folder.resolve()
        for path in self.folder.iterdir():
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise ValueError(
                    f"{path} is a link that leads out of the run, to "
                    f"{os.path.realpath(path)}, where a command would write. Put a "
                    "copy in its place."
                )

    def read_versions(self) -> dict[str, str]:
        """Returns the versions that the run began with, empty if not known."""
        return self._read_part("versions")

    def _read_part(self, name: str) -> dict[str, Any]:
        """Returns a part of the configuration, empty if missing."""
        return run_config.part_of(self.folder, name)

    def read_facts(self) -> dict[str, Any]:
        """Returns what must not change until the run is resumed, as it began."""
        return self._read_part("began_with")

    def drop_results(self) -> None:
        """Removes what was made from the model, before it is trained further."""
        for name in (
            "model.tflite",
            "report.json",
            "report.md",
            "confusion.png",
            "samples.json",
        ):
            (self.folder / name).unlink(missing_ok=True)

    def drop_unfinished(self) -> None:
        """Removes files that a killed process was writing."""
        for path in writing.unfinished(self.folder):
            path.unlink(missing_ok=True)

    def drop_untrained(self) -> None:
        """Removes a run without a complete epoch, unless its folder has other files."""
        self.drop_unfinished()
        paths = [path for path in self.folder.iterdir() if path.name != NAME]
        if any(path.name not in _OF_NO_EPOCH or path.is_dir() for path in paths):
            return
        for path in paths:
            path.unlink()
        (self.folder / NAME).unlink(missing_ok=True)
        self.folder.rmdir()

    def write_text(self, name: str, content: str) -> None:
        """Writes a file of the folder whole or not at all."""
        writing.write_text(self.folder / name, content)


def model_file(path: str | os.PathLike[str]) -> str:
    """Returns the path of the model for the folder of a run, other paths unchanged.

    Args:
        path: A model's file, or the folder of a run.

    Raises:
        FileNotFoundError: If there is neither, or the run has no complete epoch.

    Example:
        >>> model_file("no_such_folder")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no_such_folder does not exist.
    """
    run = Run(path)
    if not run.folder.exists():
        raise FileNotFoundError(f"{os.fspath(path)} does not exist.")
    if not run.config.is_file():
        return os.fspath(path)
    if not run.model.exists():
        raise FileNotFoundError(
            f"The run {run.folder} has no model yet: no epoch is complete. Resume "
            f"it: bnnopt train --resume {run.folder}"
        )
    return os.fspath(run.model)


def next_folder(parent: str | os.PathLike[str], name: str) -> pathlib.Path:
    """Returns `parent/name-<n>` with the number after the last one that exists.

    Example:
        >>> next_folder("no_such_folder", "quickstart").as_posix()
        'no_such_folder/quickstart-1'
    """
    parent = pathlib.Path(parent)
    if parent.exists() and not parent.is_dir():
        raise ValueError(f"{parent} is a file and no folder for runs.")
    pattern = re.compile(rf"{re.escape(name)}-(\d+)")
    taken = parent.iterdir() if parent.is_dir() else ()
    numbers = [int(m[1]) for path in taken if (m := pattern.fullmatch(path.name))]
    return parent / f"{name}-{max(numbers, default=0) + 1}"


def _digest(recipe: dict[str, Any]) -> str:
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's content, or of all files of a folder."""
    digest, path = hashlib.sha256(), pathlib.Path(path)
    below = sorted(path.rglob("*")) if path.is_dir() else [path]
    for one in (one for one in below if one.is_file()):
        if one != path:
            digest.update(os.fsencode(one.relative_to(path)))
        with one.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def threads() -> dict[str, int]:
    """Returns the numbers of threads of TensorFlow, inside and among operations.

    Sums of floats depend on the former. 0 stands for TensorFlow's choice, the number of
    cores.
    """
    import tensorflow as tf

    return {
        "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
        "cores": free_cores(),
    }


def free_cores() -> int:
    """Returns the number of cores that this process may use.

    `converters.runtime.host` has its own: neither package may import the other.
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Not on every system.
        return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that training depends on.

    `bnnopt doctor` has its own: it must run where no package can be imported.
    """
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
