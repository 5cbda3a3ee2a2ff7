#!/usr/bin/env python3
"""Accuracy of a narrow network of each family on CIFAR-10, binary and latent weights.

    python benchmarks/families_on_cifar10.py --data-dir DIR --results cifar10.jsonl \
        --output docs/cifar10.md

Every network is trained twice from the same seed: by Diode on kernels in {-1, +1}, and
by Adam on latent kernels. Reported is the accuracy after the last epoch on the 10,000
test images. Rows in the file of results are not trained again, so an interrupted run
can be resumed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

import larq_bnnopt
import zoo_extensions as zx
from larq_bnnopt import recipes
from larq_bnnopt.callbacks import FlipMonitor

OPTIMIZERS = {"diode": "Diode", "adam": "Adam, latent"}
BATCH_SIZE = 50

COMMAND = """\
python benchmarks/families_on_cifar10.py --data-dir DIR --results cifar10.jsonl \\
    --output docs/cifar10.md"""

# Columns of a log: name in Keras's history, format.
_LOG = {
    "loss": ("loss", ".3f"),
    "train_accuracy": ("accuracy", ".1%"),
    "test_accuracy": ("val_accuracy", ".1%"),
    "flip_ratio": ("flip_ratio", ".5f"),
    "seconds": ("seconds", ".0f"),
}

_PAGE = """\
# The families on CIFAR-10

A narrow network of each family learns CIFAR-10, 32x32 pixels, in a few minutes on a
CPU: without latent weights by Diode, and with latent weights by Adam.

<!-- not run: it trains for hours on CIFAR-10 -->
```bash
{command}
```

{models}

- Each row is one training from one seed, {seed}: differences of a few points between
  rows are no evidence about a family or an optimizer.
- Accuracy is measured after the last epoch on all {test_images:,} test images, with a
  standard error of 0.5 points. They chose nothing: widths and epochs follow from the
  time of a step. Training uses all 50,000 images, not augmented, in batches of
  {batch_size}.
- Diode: `Diode.for_steps(steps)` with a cosine decay of the learning rate from 1
  to 0, and Adam for all other parameters. Adam: from 0.01, also with a cosine decay.
- The latent kernels of BNext are real at first: each epoch divides their temperature by
  1,000 (`zx.TemperatureDecay(1e-3)`), and in the last one, below 1e-5, they are signs.
- Operations are those of `zx.count_ops` for one image: BOPs are binary
  multiplications, and OPs = BOPs / 64 + FLOPs.
- Seconds include the test after each epoch. Other work ran on the host meanwhile, so
  CPU seconds are more reliable than wall seconds, which also include that `fit` at
  times waits up to a minute, without work, before it returns.
- {machine}; {versions}.

## Fields

The arguments that make the networks narrow, for the factories (such as
`zx.MeliusNet22.factory`). No feature map is smaller than 3x3 pixels, so `pad_values` is
the default of each: 0, and 1 for TinyResidualBNN.

{fields}

## Logs

The flip ratio is the share of the binary weights that flip in a step, averaged over the
steps of an epoch (`FlipMonitor`).

{logs}
"""


@dataclasses.dataclass(frozen=True)
class Family:
    """One network of the table.

    Attributes:
        label: Its name in the table.
        model: The function of `zoo_extensions` whose factory makes it.
        fields: Arguments of the factory that make it narrow.
        epochs: Number of epochs.
        decay: Ratio of the temperatures of successive epochs, if the latent kernels
            have a temperature.
    """

    label: str
    model: str
    fields: dict[str, Any]
    epochs: int
    decay: float | None = None

    def build(self, data: Any, latent: bool) -> tf.keras.Model:
        """Builds the network for a data set."""
        factory = getattr(zx, self.model).factory
        return factory(
            input_shape=data.input_shape,
            num_classes=data.num_classes,
            latent_weights=latent,
            **self.fields,
        ).build()


# Widths and epochs were chosen by the time of a step alone.
_RESIDUAL = {"stem": "cifar", "blocks": (2, 2, 2), "filters": (16, 32, 64)}
_DENSE = {"stem": "cifar", "stem_filters": 8, "growth": 8, "transitions": (32, 64)}
_MELIUS = _DENSE | {"blocks": (1, 2, 4)}
FAMILIES = (
    Family("TinyResidualBNN", "TinyResidualBNN", {}, 3),
    Family("ResNetE", "ResNetE18", _RESIDUAL, 3),
    Family("Bi-Real Net", "BiRealNet20", _RESIDUAL, 2),
    Family("ReActNet on Bi-Real Net", "ReActNetBiReal18", _RESIDUAL, 2),
    Family("MeliusNet", "MeliusNet22", _MELIUS, 2),
    Family("MeliusNet, 4 groups and shuffle", "MeliusNetA", _MELIUS, 2),
    Family("BinaryDenseNet", "BinaryDenseNet28", _DENSE | {"blocks": (2, 4, 6)}, 2),
    Family(
        "ReActNet", "ReActNetA", {"stem": "cifar", "filters": (8, 16, 32, 64, 128)}, 2
    ),
    # In the last epoch the temperature is below 1e-5: kernels are signs.
    Family(
        "BNext",
        "BNext18",
        {"stem": "cifar", "blocks": (1, 1, 1, 1), "filters": (8, 16, 32, 64)},
        3,
        decay=1e-3,
    ),
)


class _Clock(tf.keras.callbacks.Callback):
    """Writes the seconds of an epoch, its test included, into the logs."""

    def __init__(self):
        super().__init__()
        self._supports_tf_logs = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["seconds"] = time.perf_counter() - self._start


def settings(family: Family, optimizer: str, seed: int) -> dict[str, Any]:
    """Returns what a training depends on, as JSON holds it."""
    row = {
        "model": family.model,
        "fields": family.fields,
        "epochs": family.epochs,
        "decay": family.decay if optimizer == "adam" else None,
        "optimizer": optimizer,
        "batch_size": BATCH_SIZE,
        "seed": seed,
    }
    return json.loads(json.dumps(row))


def train(
    family: Family, optimizer: str, seed: int, data_dir: str | None
) -> dict[str, Any]:
    """Trains one network and returns its row of results."""
    recipe = recipes.OneStep(
        model=family.model,
        dataset="cifar10",
        optimizer=optimizer,
        epochs=family.epochs,
        batch_size=BATCH_SIZE,
        augment=False,
        seed=seed,
        data_dir=data_dir,
    )
    data = recipe.load_data()
    steps = recipe.epochs * data.steps_per_epoch
    tf.keras.utils.set_random_seed(seed)
    latent = optimizer == "adam"
    model = family.build(data, latent)
    model.compile(
        recipe.build_optimizer(steps),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    callbacks = [FlipMonitor(), _Clock()]
    if latent and family.decay is not None:
        callbacks.append(zx.TemperatureDecay(family.decay))
    wall, cpu = time.perf_counter(), time.process_time()
    history = model.fit(
        data.train_from(0),
        steps_per_epoch=data.steps_per_epoch,
        epochs=recipe.epochs,
        validation_data=data.test,
        verbose=0,
        callbacks=callbacks,
    ).history
    seconds = time.perf_counter() - wall
    cpu_seconds = time.process_time() - cpu
    count = zx.count_ops(model)
    return {
        **settings(family, optimizer, seed),
        "steps": steps,
        "test_images": data.test_size,
        "log": [
            {column: history[key][epoch] for column, (key, _) in _LOG.items()}
            for epoch in range(recipe.epochs)
        ],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "binary_weights": sum(
            variable.shape.num_elements()
            for variable in model.trainable_variables
            if getattr(variable, "precision", None) == 1
        ),
        "parameters": count.parameters,
        "bops": count.bops,
        "flops": count.flops,
        "ops": count.ops,
        "versions": {
            "larq_bnnopt": larq_bnnopt.__version__,
            "TensorFlow": tf.__version__,
            "Python": platform.python_version(),
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{len(tf.config.list_physical_devices('GPU')) or 'no'} GPU",
    }


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    """Returns a table of Markdown whose first columns are texts, the others numbers."""
    rule = ["---"] * texts + ["--:"] * (len(heading) - texts)
    lines = (f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows))
    return "\n".join(lines)


def model_table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the results of all trainings."""
    labels = {family.model: family.label for family in FAMILIES}
    return table(
        ("network", "made by", "trained by", "binary weights", "BOPs 1e6", "OPs 1e6",
         "steps", "test accuracy", "CPU s", "wall s"),
        [
            (
                labels[row["model"]],
                f"`{row['model']}`",
                OPTIMIZERS[row["optimizer"]],
                f"{row['binary_weights']:,}",
                f"{row['bops'] / 1e6:.1f}",
                f"{row['ops'] / 1e6:.2f}",
                f"{row['steps']:,}",
                f"{row['log'][-1]['test_accuracy']:.1%}",
                f"{row['cpu_seconds']:.0f}",
                f"{row['seconds']:.0f}",
            )
            for row in rows
        ],
        texts=3,
    )  # fmt: skip


def log_table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the epochs of the trainings of one network."""
    return table(
        ("trained by", "epoch", *(column.replace("_", " ") for column in _LOG)),
        [
            (
                OPTIMIZERS[row["optimizer"]],
                str(epoch),
                *(f"{logs[column]:{form}}" for column, (_, form) in _LOG.items()),
            )
            for row in rows
            for epoch, logs in enumerate(row["log"], start=1)
        ],
        texts=1,
    )


def page(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the page of results."""
    fields = [
        (
            f"`{family.model}`",
            ", ".join(f"`{key}={value!r}`" for key, value in family.fields.items())
            or "its defaults",
        )
        for family in FAMILIES
    ]
    logs = (
        f"### {family.label}\n\n"
        + log_table([row for row in rows if row["model"] == family.model])
        for family in FAMILIES
    )
    versions = {json.dumps(row["versions"]): row["versions"] for row in rows}
    return _PAGE.format(
        command=COMMAND,
        models=model_table(rows),
        seed=rows[0]["seed"],
        test_images=rows[0]["test_images"],
        batch_size=BATCH_SIZE,
        machine=" / ".join(sorted({row["machine"] for row in rows})),
        versions=" / ".join(
            ", ".join(f"{name} {number}" for name, number in each.items())
            for each in versions.values()
        ),
        fields=table(("made by", "fields"), fields, texts=2),
        logs="\n\n".join(logs),
    )


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the rows of a file of results, none if there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def find(
    rows: Sequence[dict[str, Any]], wanted: dict[str, Any]
) -> dict[str, Any] | None:
    """Returns the row that was trained with these settings, if there is one."""
    for row in rows:
        if all(row.get(key) == value for key, value in wanted.items()):
            return row
    return None


def main() -> None:
    """Trains what is not there yet, prints the table, writes the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--results", type=pathlib.Path, default="cifar10.jsonl")
    parser.add_argument("--output", type=pathlib.Path, help="page to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = []
    for family in FAMILIES:
        for optimizer in OPTIMIZERS:
            wanted = settings(family, optimizer, arguments.seed)
            row = find(read(arguments.results), wanted)
            if row is None:
                row = train(family, optimizer, arguments.seed, arguments.data_dir)
                with arguments.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            rows.append(row)
            accuracy = row["log"][-1]["test_accuracy"]
            print(f"{family.model:18} {optimizer:6} {accuracy:.1%}", flush=True)
    print("\n" + model_table(rows))
    if arguments.output is not None:
        arguments.output.write_text(page(rows))


if __name__ == "__main__":
    main()
