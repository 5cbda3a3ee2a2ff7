"""Conversion of a run's model to a .tflite with a report, for several commands."""

from __future__ import annotations

import json
import os
import pathlib
from typing import TYPE_CHECKING, Any

from larq_bnnopt.cli.console import print_line, print_table, stages, warnings_as_lines
from larq_bnnopt.cli.silence import quiet
from larq_bnnopt.texts import markdown_table
from larq_bnnopt.writing import replacing

if TYPE_CHECKING:
    import tensorflow as tf

    import converters
    from larq_bnnopt import datasets, recipes

_CALIBRATION_IMAGES = 256


def convert_run(
    run: recipes.Run, model: tf.keras.Model, data: datasets.Dataset, **options: Any
) -> None:
    """Converts the model of a run, verifies the file, and writes the report.

    Args:
        run: The run, whose folder gets `model.tflite`, `report.json`, `report.md` and
            `confusion.png`.
        model: Its trained model.
        data: Its data set.
        **options: As for `convert_and_warn`.

    Raises:
        ConversionError: If no file was written; the report says why, where it is known.
    """
    import converters
    from larq_bnnopt.recipes import Evaluation, evaluate

    evaluation = evaluate(model, data)
    write_samples(run, data, evaluation)
    if isinstance(evaluation, Evaluation):
        _try_to_plot(evaluation, run.folder / "confusion.png")
    try:
        report = convert_and_warn(model, run.tflite, data, **options).report
    except converters.NotEquivalentError as error:
        _write_report(run, evaluation, error.report)
        raise
    _write_report(run, evaluation, report)
    print_table(os.fspath(run.folder), report.rows())


def write_samples(
    run: recipes.Run,
    data: datasets.Dataset,
    evaluation: recipes.Evaluation | recipes.Regression,
) -> None:
    """Writes some test images with their predictions, for the report of a run.

    Other inputs than images are not shown.

    Args:
        run: The run.
        data: Its data set.
        evaluation: The predictions of its model on the test images.
    """
    from larq_bnnopt.recipes import Evaluation, Samples

    if data.kind != "images" or not isinstance(evaluation, Evaluation):
        return
    images, labels = data.test_arrays()
    scores, names = evaluation.scores, evaluation.class_names
    Samples.of(images, labels, scores, names).write(run)


def _try_to_plot(evaluation: recipes.Evaluation, path: pathlib.Path) -> None:
    """Plots the confusion matrix, or warns: a conversion does not fail for it."""
    try:
        with replacing(path) as picture:
            evaluation.plot(picture)
    except Exception as error:  # A drawing fails in many ways.
        print_line(f"Warning: {path} could not be drawn ({error}).")


def _write_report(
    run: recipes.Run,
    evaluation: recipes.Evaluation | recipes.Regression,
    report: converters.Report,
) -> None:
    from larq_bnnopt.recipes import try_to_write_page, versions

    content = {
        "recipe": run.read_recipe(),
        "test": _facts(evaluation),
        "summary": report.rows(),
        "conversion": report.as_dict(),
    }
    run.write_text("report.json", json.dumps(content, indent=2) + "\n")
    pictures = [
        f"![{text}]({path.name})\n"
        for path, text in (
            (run.picture, "Flips of binary weights"),
            (run.folder / "confusion.png", "Confusion matrix"),
        )
        if path.exists()
    ]
    facts = {**run.read_recipe(), **versions()}
    table = markdown_table(("", ""), facts.items())
    page = [report.markdown(), "## Training\n", *pictures, table]
    run.write_text("report.md", "\n".join(page))
    try_to_write_page(run)


def _facts(evaluation: recipes.Evaluation | recipes.Regression) -> dict[str, Any]:
    """Returns the main figures of an evaluation as plain data."""
    facts = evaluation.as_dict()
    if "confusion" in facts:
        names = ("accuracy", *evaluation.metrics, "class_names", "confusion")
        return {name: facts[name] for name in names}
    return facts


def convert_and_warn(
    model: tf.keras.Model,
    path: str | os.PathLike[str],
    data: datasets.Dataset,
    int8: str | None = None,
    allow_undetermined: bool = False,
) -> converters.Conversion:
    """Converts a model, and shows the stages and warnings as plain lines.

    Args:
        model: The model.
        path: Path of the .tflite.
        data: The data set; model and file are compared on its test inputs.
        int8: `"layers"` for real-valued layers in int8, calibrated on training images,
            `"ends"` for inputs and outputs, too; `None` for float32.
        allow_undetermined: As for `converters.convert`.

    Returns:
        The conversion.
    """
    import converters

    images, labels = data.test_arrays()
    calibration = None
    if int8 is not None:
        count = min(_CALIBRATION_IMAGES, data.train_size)
        calibration, _ = data.train_arrays(count)
    with warnings_as_lines(), stages() as show, quiet():
        return converters.convert(
            model,
            path,
            inputs=images,
            # Numbers to predict are no classes, whose accuracy would be told.
            labels=labels if data.task == "classification" else None,
            calibration=calibration,
            int8_io=int8 == "ends",
            allow_undetermined=allow_undetermined,
            progress=show,
        )
