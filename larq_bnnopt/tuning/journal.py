"""The file of a search: Optuna's journal, checked before and shared by processes."""

from __future__ import annotations

import contextlib
import json
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from larq_bnnopt import recipe_fields

if TYPE_CHECKING:
    import optuna

    from larq_bnnopt.recipes.locking import RunLock

NAME = "trials.journal"
_STUDY = "recipe"
_SEARCH = "search"
_RUNNING = ".running"
# A line of the journal is written in milliseconds.
_PATIENCE = 60.0
# Where the data lie says nothing about the result.
_MAY_DIFFER = ("data_dir",)


def opened(
    folder: pathlib.Path, search: Mapping[str, Any] | None, prune: bool
) -> optuna.study.Study:
    """Opens the study in a folder, or makes one.

    Args:
        folder: The folder, which exists.
        search: What is searched: recipe, space and seeds, as plain data; `None` for
            whatever is there.
        prune: Whether trials that are worse than the median of the others are stopped.

    Raises:
        ValueError: If the file is damaged, or belongs to another search.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = folder / NAME
    _require_sound(path)
    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(
            study_name=_STUDY,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            pruner=_pruner(prune),
        )
        there = study.user_attrs.get(_SEARCH)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ValueError(
            f"{path} is damaged, or no file of a search ({error!r:.80}). Restore it, "
            "or name another --folder."
        ) from error
    if search is None:
        return study
    now = json.loads(json.dumps(dict(search)))
    if there is None:
        study.set_user_attr(_SEARCH, now)
    else:
        _require_same(path, there, now)
    return study


def _pruner(prune: bool) -> optuna.pruners.BasePruner:
    import optuna

    if not prune:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)


def _require_sound(path: pathlib.Path) -> None:
    """Raises a ValueError at a line that is no record; there may be no file yet."""
    end = time.monotonic() + 1
    while True:
        try:
            lines = path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return
        problem = next(filter(None, map(_problem, lines, range(1, 1 + len(lines)))), "")
        if not problem:
            return
        # Another process may be writing the last line.
        if time.monotonic() > end or not problem.startswith(f"line {len(lines)} "):
            raise ValueError(
                f"{path} is damaged: {problem}. Restore it, or remove the line: the "
                "trials of the others stay."
            )
        time.sleep(0.05)


def _problem(line: bytes, number: int) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or "op_code" not in record:
        return f"line {number} is no record of a trial"
    return "" if line.endswith(b"\n") else f"line {number} has no end"


def _require_same(
    path: pathlib.Path, there: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Raises a ValueError if the file belongs to another search.

    A field that the release before did not have had what is its default now.
    """
    there = {**there, "fields": _with_defaults(there.get("fields"), now)}
    for part in now:
        before = there.get(part)
        if not isinstance(before, dict) or not isinstance(now[part], dict):
            pairs = {part: (before, now[part])}
        else:
            names = dict.fromkeys([*before, *now[part]])
            pairs = {name: (before.get(name), now[part].get(name)) for name in names}
        for name, (one, other) in pairs.items():
            if one != other and name not in _MAY_DIFFER:
                raise ValueError(
                    f"{path} belongs to another search: {name} is {one!r} there, and "
                    f"{other!r} now. Give the same options, or another --folder."
                )


def _with_defaults(before: Any, now: Mapping[str, Any]) -> Any:
    """Returns stored fields with the defaults of those that came later.

    What is tuned is no field of either.
    """
    if not isinstance(before, dict):
        return before
    whole = recipe_fields.with_later_fields(now["recipe"], before)
    known = {n: v for n, v in whole.items() if n in before or n in now["fields"]}
    return json.loads(json.dumps(known))


def locked(folder: pathlib.Path) -> RunLock:
    """Waits for the lock of the folder, under which trials begin."""
    from larq_bnnopt.recipes.locking import waited_for

    return waited_for(folder, _PATIENCE)


def running(
    folder: pathlib.Path, number: int
) -> contextlib.AbstractContextManager[bool]:
    """Yields whether a trial is this process's, which it then is until the end.

    Args:
        folder: The folder of the search.
        number: The number of the trial.
    """
    from larq_bnnopt.recipes.locking import reserved

    return reserved(folder / _RUNNING / str(number))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Optuna's own lines away."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
