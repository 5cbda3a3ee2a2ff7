"""Writes a package for a device: the .tflite, golden inputs and outputs, a README.

Replay it there, or here, with `bnnopt verify FOLDER`.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from larq_bnnopt.cli import names
from larq_bnnopt.cli.parser import Parser, positive

if TYPE_CHECKING:
    import converters
    from larq_bnnopt import datasets


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("run_folder", metavar="run", help="folder of a converted run")
    parser.add_argument("folder", help="folder to make")
    parser.add_argument(
        "--samples",
        type=positive(int),
        default=16,
        help="test inputs to take as golden ones; default: 16",
    )
    parser.add_argument(
        "--allow-undetermined",
        action="store_true",
        help="package the file of a network whose answers depend on rounding, too",
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises an error unless there is a converted run."""
    names.require_run(arguments.run_folder)
    if not os.path.exists(os.path.join(arguments.run_folder, "model.tflite")):
        raise FileNotFoundError(
            f"{arguments.run_folder} has no .tflite yet. Make it: "
            f"bnnopt convert {arguments.run_folder}"
        )


def _preprocessing(
    data: datasets.Dataset,
) -> converters.Preprocessing | converters.TextInput | str:
    """Returns how a photograph, a text or another raw input becomes the input."""
    import converters
    from larq_bnnopt import datasets

    if data.kind == "texts":
        return converters.TextInput(data.settings["tokenizer"], data.settings["pairs"])
    if data.settings:
        return datasets.SoundSettings(**data.settings).words()
    if data.kind != "images":
        shape = " x ".join(map(str, data.input_shape))
        return f"float32, {shape}, the numbers of the {data.kind} as they are"
    height, width, channels = data.input_shape
    return converters.Preprocessing((height, width), channels, data.middle)


def _first(inputs: Any, count: int) -> Any:
    """Returns the first inputs, of texts by name."""
    if isinstance(inputs, dict):
        return {name: array[:count] for name, array in inputs.items()}
    return inputs[:count]


def run(arguments: argparse.Namespace) -> int:
    """Packages."""
    import converters
    from larq_bnnopt import recipes
    from larq_bnnopt.cli.console import console, print_table
    from larq_bnnopt.cli.silence import quiet

    source = recipes.Run(arguments.run_folder)
    recipe = recipes.recipe_of(source)
    model = recipes.load_model(source.model)
    data = recipes.data_of(source, recipe, model)
    recipes.require_same_settings(source, data)
    inputs, labels = data.test_arrays()
    if arguments.samples > len(labels):
        raise ValueError(
            f"{recipe.dataset} has {len(labels)} test {data.kind}. Received: --samples "
            f"{arguments.samples}"
        )
    facts = {
        name: fact
        for name, fact in source.read_recipe().items()
        if name not in ("data_dir", "tokenizer") and fact is not None
    }
    is_sound = data.kind == "sounds"
    sounds = {"sound": dict(data.settings)} if is_sound else {}
    with quiet():
        folder = converters.package(
            source.tflite,
            arguments.folder,
            inputs=_first(inputs, arguments.samples),
            model=model,
            class_names=data.class_names,
            preprocessing=_preprocessing(data),
            metadata={"recipe": facts, **sounds},
            allow_undetermined=arguments.allow_undetermined,
        )
        replay = converters.replay(folder)
    print_table(str(folder), replay.rows())
    console.print(f"Copy {folder} to the device; its README.md says what to do.")
    return 0
