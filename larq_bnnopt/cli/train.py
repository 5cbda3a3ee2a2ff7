"""Trains a model of zoo_extensions, or goes on with an interrupted run.

The folder of the run holds the last complete epoch at any time. Turn it into a device
file with `bnnopt convert FOLDER`.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import pathlib
import shlex
from typing import Any

from larq_bnnopt import field_ranges
from larq_bnnopt.cli import names
from larq_bnnopt.cli.parser import Parser, positive, within

# The options that are fields of a recipe.
_FIELDS = (
    "model",
    "dataset",
    "image_size",
    "optimizer",
    "epochs",
    "batch_size",
    "accumulate_steps",
    "real_optimizer",
    "learning_rate",
    "weight_decay",
    "schedule",
    "warmup_epochs",
    "label_smoothing",
    "alpha",
    "beta",
    "gamma",
    "teacher",
    "temperature",
    "hard_labels",
    "recalibrate",
    "augment",
    "seed",
    "data_dir",
    "first_epochs",
    "start",
    "head_epochs",
)


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    add = parser.add_argument
    add("--recipe", help="one_step, two_step or fine_tune; default: one_step")
    add("--start", help="of fine_tune: .keras file of the model to start from")
    add("--preset", help="the settings of a paper, such as gradient_filter_cifar10")
    add("--model", help="default: tiny_residual_bnn")
    add(
        "--dataset",
        help="fashion_mnist_mini (in the package), a folder with a folder of images "
        "for each class, or any name of tensorflow-datasets; default: "
        "fashion_mnist_mini",
    )
    add(
        "--image-size",
        type=within("image_size", int),
        help="of images of any size, at most 4096; default: 224",
    )
    add(
        "--optimizer",
        help="of binary weights: diode or gradient_filter, or adam or sgd on latent "
        "ones; default: diode, of two_step adam",
    )
    add("--epochs", type=positive(int), help="of two_step: of each step; default: 12")
    add("--first-epochs", type=positive(int), help="of two_step: those of step 1")
    add(
        "--head-epochs",
        type=within("head_epochs", int),
        help="of fine_tune: of the new classifier alone",
    )
    add("--batch-size", type=positive(int), help="default: 64")
    add(
        "--accumulate-steps",
        type=positive(int),
        help="batches that make one step together; default: 1",
    )
    add("--real-optimizer", help="of other weights: adam or sgd; default: adam")
    add(
        "--learning-rate",
        type=within("learning_rate", float),
        help="of it; default: 0.01",
    )
    add(
        "--weight-decay",
        type=within("weight_decay", float),
        help="default: 0, of two_step 5e-6",
    )
    add("--schedule", help="cosine, linear or step; default: cosine")
    add("--warmup-epochs", type=within("warmup_epochs", float), help="default: 0")
    add("--label-smoothing", type=within("label_smoothing", float), help="default: 0")
    add(
        "--alpha",
        type=within("alpha", float),
        help="of diode, in [0, 1), or of gradient_filter, in (0, 1]; "
        "default: what fits the length of the run",
    )
    add(
        "--beta",
        type=within("beta", float),
        help="of diode, in [0, 1); default: likewise",
    )
    add(
        "--gamma",
        type=within("gamma", float),
        help="of gradient_filter, in (0, 1]; default: likewise",
    )
    add("--teacher", help=".keras file whose answers the model learns")
    add(
        "--temperature",
        type=within("temperature", float),
        help="beside a teacher; default: 1",
    )
    add(
        "--hard-labels",
        type=within("hard_labels", float),
        help="share of the labels beside it; default: 0",
    )
    add(
        "--recalibrate",
        type=positive(int),
        metavar="BATCHES",
        help="compute batch normalization's statistics anew from so many batches "
        "behind the training, and show what that does; default: leave them",
    )
    add(
        "--no-augment",
        dest="augment",
        action="store_const",
        const=False,
        help="train on the images as they are",
    )
    add("--seed", type=within("seed", int), help="default: 0")
    add("--data-dir", help="folder of tensorflow-datasets")
    add("--run", dest="folder", help="folder to make; default: runs/train-<n>")
    add("--resume", metavar="FOLDER", help="go on with this run instead")
    add(
        "--strategy",
        help="mirrored, all GPUs of this machine, or multi_worker, the machines that "
        "TF_CONFIG names; --batch-size is that of all",
    )
    add(
        "--tensorboard",
        action="store_true",
        help="write the folder tensorboard of the run, too: metrics, flips of each "
        "layer, histograms of weights",
    )
    add(
        "--dry-run",
        action="store_true",
        help="show what would be trained and how long it takes, and make nothing",
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises an error at wrong names, and at files that are missing or in the way."""
    names.require("strategy", arguments.strategy, names.STRATEGIES)
    given = [name for name in _FIELDS if getattr(arguments, name) is not None]
    if arguments.resume is not None:
        others = ("recipe", "preset", "folder", "dry_run")
        given += [name for name in others if getattr(arguments, name)]
        if given:
            words = ["run" if name == "folder" else name for name in given]
            options = ", ".join(f"--{word.replace('_', '-')}" for word in words)
            raise ValueError(
                f"--resume goes on with the recipe of {arguments.resume}; leave out "
                f"{options}."
            )
        names.require_run(arguments.resume)
        return
    names.require("preset", arguments.preset, names.PRESETS)
    names.require("recipe", arguments.recipe, tuple(names.RECIPES))
    if arguments.preset is not None and arguments.recipe is not None:
        raise ValueError("A preset has its recipe; leave out --recipe.")
    if arguments.preset is None:
        kind = arguments.recipe or "one_step"
        own = set(itertools.chain(*names.RECIPES.values())) - {*names.RECIPES[kind]}
        unknown = [name for name in given if name in own]
        if unknown:
            raise ValueError(f"recipe {kind!r} has no {', '.join(unknown)}.")
    _require_numbers(arguments)
    names.require_model(arguments.model)
    names.require("optimizer", arguments.optimizer, names.OPTIMIZERS)
    names.require("real_optimizer", arguments.real_optimizer, names.REAL_OPTIMIZERS)
    names.require("schedule", arguments.schedule, names.SCHEDULES)
    names.require_dataset(arguments.dataset, arguments.data_dir)
    if arguments.dry_run and arguments.strategy is not None:
        raise ValueError("--dry-run is of one device; leave out --strategy.")
    if arguments.folder is not None and os.path.lexists(arguments.folder):
        raise FileExistsError(
            f"{arguments.folder} exists and is not overwritten. Name another folder, "
            "or go on with its training by --resume."
        )
    for path in (arguments.start, arguments.teacher):
        names.require_file(path)


def _require_numbers(arguments: argparse.Namespace) -> None:
    """Raises a ValueError at numbers that do not go with others."""
    kind = arguments.preset or arguments.recipe or "one_step"
    given = {
        name: value for name, value in vars(arguments).items() if value is not None
    }
    fields = {**names.DEFAULTS[kind], **given}
    optimizer = fields["optimizer"]
    told = None
    if "alpha" in fields:
        told = field_ranges.fault("alpha", fields["alpha"], optimizer, "--alpha")
    if "warmup_epochs" in given:
        stages = [fields[name] for name in names.STAGES if fields.get(name)]
        told = told or field_ranges.warmup_fault(
            fields["warmup_epochs"], min(stages), "--warmup-epochs"
        )
    if told:
        raise ValueError(told)


def run(arguments: argparse.Namespace) -> int:
    """Trains or goes on."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli import training
    from larq_bnnopt.cli.console import console

    # Before TensorFlow computes anything.
    strategy = recipes.strategy_of(arguments.strategy)
    if arguments.resume is not None:
        folder = pathlib.Path(arguments.resume)
        previous = recipes.Run(folder)
        recipe = recipes.recipe_of(previous)
        console.print(
            f"Going on with {folder}: {recipe.network} on {recipe.dataset}, "
            f"{sum(recipe.stage_epochs())} epochs in all."
        )
        more = _callbacks(arguments, folder, strategy)
        beginning = training.Beginning(recipe)
        training.with_bar(
            lambda callbacks, progress: recipes.resume(
                previous, [*callbacks, *more], strategy, progress, beginning
            ),
            folder,
            recipe.stage_epochs(),
        )
        if previous.tflite.exists():
            console.print(
                f"All {sum(recipe.stage_epochs())} epochs were trained before. It is "
                f"converted: {previous.tflite}"
            )
            return 0
    else:
        recipe = _recipe(arguments.recipe, arguments.preset, _given(arguments))
        if arguments.dry_run:
            return _dry_run(recipe)
        beginning = training.Beginning(recipe)
        folder = _train(recipe, arguments, strategy, beginning)
    anew = recipes.Run(folder).read_recalibration()
    if anew is not None:
        console.print(
            f"Batch normalization anew from {anew.batches} batches: accuracy "
            f"{anew.before:.2%} before, {anew.after:.2%} after."
        )
    beginning.warn_of_guessing(folder)
    words = f"bnnopt convert {shlex.quote(os.fspath(folder))}"
    console.print(f"The run is in {folder}. Convert it with: {words}")
    return 0


def _train(
    recipe: Any, arguments: argparse.Namespace, strategy: Any, beginning: Any
) -> pathlib.Path:
    """Trains into the folder that was named, or into the next one that is free."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli import training

    while True:
        folder = pathlib.Path(arguments.folder or recipes.next_folder("runs", "train"))
        more = _callbacks(arguments, folder, strategy)
        fit = functools.partial(_fit, recipe, folder, more, strategy, beginning)
        try:
            training.with_bar(fit, folder, recipe.stage_epochs())
        except FileExistsError:
            # Another training may have taken the same number meanwhile.
            if arguments.folder or recipes.next_folder("runs", "train") == folder:
                raise
        else:
            return folder


def _fit(
    recipe: Any,
    folder: Any,
    more: Any,
    strategy: Any,
    beginning: Any,
    callbacks: Any,
    progress: Any,
) -> Any:
    from larq_bnnopt import recipes

    callbacks = [*callbacks, *more]
    return recipes.train(recipe, folder, callbacks, strategy, progress, beginning)


def _callbacks(arguments: argparse.Namespace, folder: Any, strategy: Any) -> list[Any]:
    """Returns the callbacks that were asked for."""
    import tensorflow as tf

    from larq_bnnopt.recipes import is_chief

    # Of several machines one writes.
    if not arguments.tensorboard or not is_chief(strategy):
        return []
    return [tf.keras.callbacks.TensorBoard(folder / "tensorboard", histogram_freq=1)]


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the fields of a recipe that were given."""
    given = {
        name: getattr(arguments, name)
        for name in _FIELDS
        if getattr(arguments, name) is not None
    }
    # A run may go on from another folder.
    for name in ("teacher", "start"):
        if name in given:
            given[name] = os.path.abspath(given[name])
    if os.path.isdir(given.get("dataset", "")):
        given["dataset"] = os.path.abspath(given["dataset"])
    return given


def _recipe(kind: str | None, preset: str | None, given: dict[str, Any]) -> Any:
    """Returns the recipe of a scheme or a preset, with what was given otherwise."""
    import dataclasses

    from larq_bnnopt import recipes
    from larq_bnnopt.cli.console import console

    if preset is not None:
        chosen = recipes.PRESETS[preset]
        console.print(f"{preset}: {chosen.source}")
        fields = dataclasses.asdict(chosen.recipe)
        return type(chosen.recipe).of({**fields, **given})
    return recipes.RECIPES[kind or recipes.OneStep.kind].of(given)


def _dry_run(recipe: Any) -> int:
    """Shows a recipe, and what a few steps of it say of the whole."""
    from larq_bnnopt import datasets, recipes
    from larq_bnnopt.cli.console import print_table
    from larq_bnnopt.cli.silence import quiet

    try:
        with quiet():
            rows = recipes.plan(recipe).rows()
    except datasets.NotDownloadedError as error:
        rows = [*recipes.settings_of(recipe), ("not measured", str(error))]
    print_table("Nothing was trained", rows)
    return 0
