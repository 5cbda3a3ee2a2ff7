"""Runs a claim of a paper on real data, and says whether it holds there.

The folder of a study keeps each finished run: stop it at any time, and give the same
command to continue. Several processes may share a folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import pathlib
import shlex
import textwrap

from larq_bnnopt import studies
from larq_bnnopt.cli import names
from larq_bnnopt.cli.console import print_line, warnings_as_lines
from larq_bnnopt.cli.parser import Parser, positive
from larq_bnnopt.cli.silence import import_tensorflow, start_xla

_FOLDER = "studies"
# In a copy of the repository, also where the package is installed elsewhere.
_PUBLISHED = pathlib.Path("docs", "results")


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    add = parser.add_argument
    add("name", nargs="?", help="name of a study, as --list shows it")
    add("--list", action="store_true", help="show all studies, with their last result")
    add(
        "--quick",
        action="store_true",
        help="take a few steps of each run, which shows nothing but that it works",
    )
    add("--minutes", type=positive(float), help="begin no run after that time")
    add("--seeds", type=positive(int), help="seeds of each setting; default: 5 or more")
    add("--dataset", help="train on other data than the study names")
    add("--data-dir", help="folder of tensorflow-datasets; default: its own")
    add("--folder", help=f"folder of the results; default: {_FOLDER}/NAME")


def check(arguments: argparse.Namespace) -> None:
    """Raises an error for wrong words, without TensorFlow."""
    if arguments.list:
        if arguments.name is not None:
            raise ValueError(f"--list shows all studies; leave out {arguments.name}.")
        return
    if arguments.name is None:
        raise ValueError("Name a study; bnnopt study --list shows all.")
    studies.require_name(arguments.name)
    names.require_dataset(arguments.dataset, arguments.data_dir)
    quick_data = studies.get(arguments.name).quick_data
    if arguments.quick and arguments.dataset and quick_data is not None:
        raise ValueError(f"--quick trains on {quick_data}; leave out --dataset.")
    if importlib.util.find_spec("scipy") is None:
        raise ImportError(
            "A study needs SciPy for its intervals: pip install "
            "'larq-bnnopt[studies]', or pip install scipy."
        )
    study, folder = _study(arguments), _folder(arguments)
    if study.require is not None:
        study.require()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file. Name another folder by --folder.")
    # A damaged line is named before the long work.
    studies.finished(study, folder, arguments.quick)


def run(arguments: argparse.Namespace) -> int:
    """Lists the studies, or runs one."""
    if arguments.list:
        return _list(pathlib.Path(arguments.folder or _FOLDER))
    import_tensorflow()
    study, folder = _study(arguments), _folder(arguments)
    studies.require_data(study)
    words = f"bnnopt study {study.name}"
    print_line(f"{study.title} (paper {study.paper}, {study.place}), in {folder}")
    start_xla()
    # Studies train without clipping where a paper does, which larq warns of.
    logging.getLogger("larq.layers_base").setLevel(logging.ERROR)
    try:
        with warnings_as_lines():
            progress = studies.work(
                study, folder, arguments.minutes, arguments.quick, print_line
            )
    except KeyboardInterrupt:
        print_line("The finished runs are kept; the same command continues.")
        raise
    found = studies.finished(study, folder, arguments.quick)
    if not found:
        print_line("No run is finished yet.")
        return 0
    studies.write(study, found, folder, _command(arguments))
    print_line(studies.paragraph(study, found))
    if progress.done < progress.wanted:
        others = f", {progress.elsewhere} by others" if progress.elsewhere else ""
        print_line(
            f"{progress.done} of {progress.wanted} runs are finished{others}; the same "
            "command continues."
        )
    print_line(f"{words}: picture, table and page are in {folder}")
    return 0


def _study(arguments: argparse.Namespace) -> studies.Study:
    """Returns the study as the options change it."""
    study = studies.get(arguments.name)
    study = study.with_data(_absolute(arguments.dataset), arguments.data_dir)
    if arguments.quick:
        study = study.made_quick()
    if arguments.seeds:
        study = study.with_seeds(arguments.seeds)
    return study


def _absolute(dataset: str | None) -> str | None:
    """Returns the data of a study that may be resumed from another folder."""
    return os.path.abspath(dataset) if dataset and os.path.isdir(dataset) else dataset


def _folder(arguments: argparse.Namespace) -> pathlib.Path:
    if arguments.folder:
        return pathlib.Path(arguments.folder)
    return pathlib.Path(_FOLDER, arguments.name + ("-quick" if arguments.quick else ""))


def _command(arguments: argparse.Namespace) -> str:
    """Returns the command without what does not change the result."""
    words = ["bnnopt", "study", arguments.name]
    if arguments.quick:
        words.append("--quick")
    for option in ("seeds", "dataset"):
        if getattr(arguments, option) is not None:
            words += [f"--{option}", str(getattr(arguments, option))]
    return shlex.join(words)


def _list(folder: pathlib.Path) -> int:
    """Lists all studies: place, time, last result, claim."""
    for name in studies.names():
        study = studies.get(name)
        places = (folder / name, _PUBLISHED / name, studies.published(name))
        facts = (
            f"paper {study.paper}, {study.place}",
            f"about {study.minutes} minutes",
            studies.last_verdict(places),
        )
        print_line(f"{name}: {'; '.join(facts)}")
        print_line(textwrap.indent(textwrap.fill(study.claim, 84), "    "))
    return 0
