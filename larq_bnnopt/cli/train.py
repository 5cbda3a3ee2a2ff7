"""Trains a model of zoo_extensions, or resumes an interrupted run.

The folder of the run holds the last complete epoch at any time. Convert it to a .tflite
with `bnnopt convert FOLDER`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from larq_bnnopt import model_options, preset_fields, recipe_fields
from larq_bnnopt.cli import names
from larq_bnnopt.cli.parser import Parser, number, numbers, within

if TYPE_CHECKING:
    import tensorflow as tf

    from larq_bnnopt import recipes
    from larq_bnnopt.cli import training


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    add_recipe(parser)
    add = parser.add_argument
    add("--run", dest="folder", help="folder to make; default: runs/train-<n>")
    add("--resume", metavar="FOLDER", help="resume this run instead")
    add(
        "--strategy",
        help="mirrored, all GPUs of this machine, or multi_worker, the machines that "
        "TF_CONFIG names; --batch-size counts the images of all",
    )
    add(
        "--tensorboard",
        action="store_true",
        help="also write the folder tensorboard of the run: metrics, flips of each "
        "layer, histograms of weights",
    )
    add(
        "--dry-run",
        action="store_true",
        help="show what would be trained and how long it would take, and write nothing",
    )


def add_recipe(parser: Parser) -> None:
    """Adds the options of a recipe."""
    *kinds, last = recipe_fields.KINDS
    parser.add_argument(
        "--recipe", help=f"{', '.join(kinds)} or {last}; default: {kinds[0]}"
    )
    parser.add_argument(
        "--preset",
        help="the settings of a paper, such as diode_cifar100 or bit-glue-sst2",
    )
    for name in names.RECIPE_OPTIONS:
        add_field(parser, name)


def add_field(parser: Parser, name: str) -> None:
    """Adds the option of a field of a recipe."""
    field, known = names.FIELDS[name], recipe_fields.settings()[name]
    option = _option(name)
    if field.type == "bool":
        parser.add_argument(
            f"--no-{name.replace('_', '-')}",
            dest=name,
            action="store_const",
            const=False,
            help=f"do not {known.text.removeprefix('whether to ')}",
        )
        return
    first, *_ = str(field.type).split(" ")
    kind = {"int": int, "float": float}.get(first)
    valid = known.option_range or known.range
    read: Callable[[str], Any] = str
    if first == "Sequence[float]":
        read = numbers
    elif any(one != valid for one in known.ranges.values()):
        # Its range depends on the optimizer, which another option names.
        read = number
    elif kind is not None and valid is not None:
        read = within(valid, kind)
    parser.add_argument(
        option,
        dest=name,
        action="append" if first.startswith("Mapping") else "store",
        type=read,
        metavar=known.metavar,
        help=recipe_fields.option_help(name),
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises an error for wrong names, and files that are missing or in the way."""
    names.require("strategy", arguments.strategy, names.STRATEGIES)
    if arguments.resume is not None:
        given = list(given_fields(arguments))
        others = ("recipe", "preset", "folder", "dry_run")
        given += [name for name in others if getattr(arguments, name)]
        if given:
            options = ", ".join(map(_option, given))
            raise ValueError(
                f"--resume continues the recipe of {arguments.resume}; leave out "
                f"{options}."
            )
        names.require_run(arguments.resume)
        return
    check_recipe(arguments)
    if arguments.dry_run and arguments.strategy is not None:
        raise ValueError("--dry-run uses one device; leave out --strategy.")
    if arguments.folder is not None and os.path.lexists(arguments.folder):
        raise FileExistsError(
            f"{arguments.folder} exists and is not overwritten. Name another folder, "
            "or resume its training with --resume."
        )


def _option(name: str) -> str:
    """Returns the option for a field of a recipe or another value of the command."""
    known = recipe_fields.settings().get(name)
    word = (known and known.option) or ("run" if name == "folder" else name)
    return f"--{word.replace('_', '-')}"


def check_recipe(arguments: argparse.Namespace) -> None:
    """Raises an error unless the options of a recipe are valid."""
    arguments.preset = preset_fields.named(arguments.preset)
    names.require("preset", arguments.preset, names.PRESETS)
    names.require("recipe", arguments.recipe, recipe_fields.KINDS)
    if arguments.preset is not None and arguments.recipe is not None:
        raise ValueError("A preset has its recipe; leave out --recipe.")
    if arguments.preset is None:
        kind = arguments.recipe or "one_step"
        fields = recipe_fields.defaults_of(kind)
        unknown = [name for name in given_fields(arguments) if name not in fields]
        if unknown:
            raise ValueError(f"recipe {kind!r} has no {', '.join(unknown)}.")
    for name, known in recipe_fields.settings().items():
        if known.choices:
            names.require(name, getattr(arguments, name), known.choices)
    _require_numbers(arguments)
    names.require_model(arguments.model)
    _read_model_options(arguments)
    names.require_dataset(arguments.dataset, arguments.data_dir)
    for path in (arguments.start, arguments.teacher, arguments.tokenizer):
        names.require_file(path)


def _require_numbers(arguments: argparse.Namespace) -> None:
    """Raises a ValueError for numbers that are not valid beside others."""
    kind = arguments.preset or arguments.recipe or "one_step"
    given = {
        name: value for name, value in vars(arguments).items() if value is not None
    }
    fields = {**names.DEFAULTS[kind], **given}
    optimizer = fields["optimizer"]
    problem = None
    if "alpha" in given:
        problem = recipe_fields.range_problem(
            "alpha", fields["alpha"], optimizer, "--alpha"
        )
    if "warmup_epochs" in given:
        stages = [fields[name] for name in names.STAGES if fields.get(name)]
        problem = problem or recipe_fields.warmup_problem(
            fields["warmup_epochs"], min(stages), "--warmup-epochs"
        )
    if problem:
        raise ValueError(problem)


def _read_model_options(arguments: argparse.Namespace) -> None:
    """Replaces the texts of options by values, and checks them beside the model."""
    kind = arguments.preset or arguments.recipe or recipe_fields.OneStepFields.kind
    model = arguments.model or names.DEFAULTS[kind]["model"]
    if arguments.model_options is not None:
        arguments.model_options = model_options.parsed(model, arguments.model_options)
    given = given_fields(arguments)
    if arguments.preset is not None:
        given = preset_fields.changed(arguments.preset, given)
        kind = preset_fields.PRESET_FIELDS[arguments.preset].kind
    # Refuses fields that contradict each other.
    recipe_fields.KINDS[kind](**given)


def run(arguments: argparse.Namespace) -> int:
    """Trains or resumes."""
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
            f"Resuming {folder}: {recipe.network} on {recipe.dataset}, "
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
        recipe = recipe_from(arguments)
        if arguments.dry_run:
            return _dry_run(recipe)
        beginning = training.Beginning(recipe)
        folder = _train(recipe, arguments, strategy, beginning)
    result = recipes.Run(folder).read_recalibration()
    if result is not None:
        console.print(
            f"Batch-norm statistics re-estimated from {result.batches} batches: "
            f"accuracy {result.before:.2%} before, {result.after:.2%} after."
        )
    beginning.warn_of_guessing(folder)
    words = f"bnnopt convert {shlex.quote(os.fspath(folder))}"
    console.print(f"The run is in {folder}. Convert it with: {words}")
    return 0


def _train(
    recipe: recipes.Recipe,
    arguments: argparse.Namespace,
    strategy: tf.distribute.Strategy,
    beginning: training.Beginning,
) -> pathlib.Path:
    """Trains into the named folder, or into the next free one."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli import training

    while True:
        folder = pathlib.Path(arguments.folder or recipes.next_folder("runs", "train"))
        more = _callbacks(arguments, folder, strategy)
        fit = _fit(recipe, folder, more, strategy, beginning)
        try:
            training.with_bar(fit, folder, recipe.stage_epochs())
        except FileExistsError:
            # Another training may have taken the same number.
            if arguments.folder or recipes.next_folder("runs", "train") == folder:
                raise
        else:
            return folder


def _fit(
    recipe: recipes.Recipe,
    folder: pathlib.Path,
    more: list[tf.keras.callbacks.Callback],
    strategy: tf.distribute.Strategy,
    beginning: training.Beginning,
) -> training.Fit:
    """Returns the function that trains with a progress bar's callbacks."""
    from larq_bnnopt import recipes

    return lambda callbacks, progress: recipes.train(
        recipe, folder, [*callbacks, *more], strategy, progress, beginning
    )


def _callbacks(
    arguments: argparse.Namespace,
    folder: pathlib.Path,
    strategy: tf.distribute.Strategy,
) -> list[tf.keras.callbacks.Callback]:
    """Returns the callbacks of the options."""
    import tensorflow as tf

    from larq_bnnopt.recipes import is_chief

    # One of several machines writes.
    if not arguments.tensorboard or not is_chief(strategy):
        return []
    return [tf.keras.callbacks.TensorBoard(folder / "tensorboard", histogram_freq=1)]


def given_fields(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the fields of a recipe that were given, by name."""
    given = {name: getattr(arguments, name) for name in names.RECIPE_OPTIONS}
    return {name: value for name, value in given.items() if value is not None}


def _with_absolute_paths(given: dict[str, Any]) -> dict[str, Any]:
    """Returns given fields for a run that may be resumed from another folder."""
    given = dict(given)
    for name in ("teacher", "start", "tokenizer"):
        if name in given:
            given[name] = os.path.abspath(given[name])
    options = given.get("model_options", {})
    if os.path.isfile(options.get("weights") or ""):
        weights = os.path.abspath(options["weights"])
        given["model_options"] = {**options, "weights": weights}
    if os.path.isdir(given.get("dataset", "")):
        given["dataset"] = os.path.abspath(given["dataset"])
    return given


def recipe_from(arguments: argparse.Namespace) -> recipes.Recipe:
    """Returns the recipe of a kind or preset, with the given fields."""
    from larq_bnnopt import recipes
    from larq_bnnopt.cli.console import console

    given = _with_absolute_paths(given_fields(arguments))
    preset = arguments.preset
    if preset is not None:
        chosen = recipes.PRESETS[preset]
        console.print(f"{preset}: {chosen.source}")
        return type(chosen.recipe).of(preset_fields.changed(preset, given))
    return recipes.RECIPES[arguments.recipe or recipes.OneStep.kind].of(given)


def _dry_run(recipe: recipes.Recipe) -> int:
    """Shows a resolved recipe, sizes, and the estimated time."""
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
