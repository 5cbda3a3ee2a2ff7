"""What `quickstart` and `convert` share: a run's model becomes a file with a report."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

from larq_bnnopt.cli.console import console, print_table, stages
from larq_bnnopt.cli.silence import quiet


def convert_run(run: Any, model: Any, data: Any) -> None:
    """Converts the model of a run, compares it on the test images, writes the report.

    Args:
        run: The run, whose folder gets `model.tflite`, `report.json`, `report.md` and
            `confusion.png`.
        model: Its trained model.
        data: Its data set.

    Raises:
        ConversionError: If no file was written; the report says why, where it is known.
    """
    import converters
    from larq_bnnopt.recipes import evaluate

    evaluation = evaluate(model, data)
    evaluation.plot(run.folder / "confusion.png")
    images, labels = data.test_arrays()
    try:
        report = convert_and_warn(model, run.tflite, images, labels).report
    except converters.ConversionError as error:
        if error.report is not None:
            _write_report(run, evaluation, error.report)
        raise
    _write_report(run, evaluation, report)
    print_table(os.fspath(run.folder), report.rows())


def _write_report(run: Any, evaluation: Any, report: Any) -> None:
    from larq_bnnopt.recipes.runs import versions

    content = {
        "recipe": run.read_recipe(),
        "test": {
            "accuracy": evaluation.accuracy,
            "class_names": list(evaluation.class_names),
            "confusion": evaluation.confusion.tolist(),
        },
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
    table = [
        "| | |\n|---|---|",
        *(f"| {name} | {fact} |" for name, fact in facts.items()),
    ]
    page = [report.markdown(), "## Training\n", *pictures, *table, ""]
    run.write_text("report.md", "\n".join(page))


def convert_and_warn(model: Any, path: Any, images: Any, labels: Any) -> Any:
    """Converts, with its stages shown and warnings as plain lines."""
    import converters

    with (
        stages() as tell,
        quiet(),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        conversion = converters.convert(
            model, path, inputs=images, labels=labels, progress=tell
        )
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            console.print(f"Warning: {warning.message}")
    return conversion
