"""What `quickstart` and `convert` share: a run's model becomes a file with a report."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

from larq_bnnopt.cli.console import console, print_table
from larq_bnnopt.cli.silence import quiet


def convert_run(run: Any, model: Any, data: Any) -> None:
    """Converts the model of a run, compares it on the test images, writes the report.

    Args:
        run: The run, whose folder gets `model.tflite`, `report.json`, `report.md` and
            `confusion.png`.
        model: Its trained model.
        data: Its data set.
    """
    from larq_bnnopt.recipes import evaluate

    evaluation = evaluate(model, data)
    evaluation.plot(run.folder / "confusion.png")
    images, labels = data.test_arrays()
    conversion = convert_and_warn(model, run.tflite, images, labels)
    report = conversion.report
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
        f"![{text}]({name})\n"
        for name, text in (
            ("flips.png", "Flips of binary weights"),
            ("confusion.png", "Confusion matrix"),
        )
        if (run.folder / name).exists()
    ]
    page = [report.markdown(), "## Training\n", *pictures]
    run.write_text("report.md", "\n".join(page))
    print_table(os.fspath(run.folder), report.rows())


def convert_and_warn(model: Any, path: Any, images: Any, labels: Any) -> Any:
    """Converts, with warnings as plain lines."""
    import converters

    with quiet(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        conversion = converters.convert(model, path, inputs=images, labels=labels)
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            console.print(f"Warning: {warning.message}")
    return conversion


def load_model(path: Any) -> Any:
    """Loads a Keras model; raises ValueError where it cannot be read."""
    import tensorflow as tf

    # Both register what a model may hold.
    import larq_bnnopt.optimizers  # noqa: F401
    import zoo_extensions  # noqa: F401

    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} does not exist.")
    try:
        return tf.keras.models.load_model(path)
    except Exception as error:  # A damaged file fails in many ways.
        text = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be read as a Keras model: {text[:200]}") from (
            error
        )
