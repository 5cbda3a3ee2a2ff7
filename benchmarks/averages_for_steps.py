#!/usr/bin/env python3
"""Search for the memory of the averages in Diode and the gradient filter.

    python benchmarks/averages_for_steps.py check [--data-dir DIR]
    python benchmarks/averages_for_steps.py search [--data-dir DIR]
    python benchmarks/averages_for_steps.py report [--data-dir DIR]
    python benchmarks/averages_for_steps.py tables

`search` trains tiny_residual_bnn on Fashion-MNIST for several total numbers of steps
with a grid of constants and measures accuracy on the last 5,000 training images, which
are held out. `report` compares the rules chosen from it (`Diode.for_steps` and
`GradientFilter.for_steps`) with the papers' constants and the recipe's fixed ones on
the 10,000 test images of Fashion-MNIST and CIFAR-10. `check` measures the time of a
step and compares the loop of this script with `model.fit`.

Every result is appended to a CSV file at once, and the trained weights are kept beside
it; a repeated call skips finished trainings. Two calls with different `--optimizer` may
run in parallel.

Memory is in steps: an average with decay beta has a memory of 1 / (1 - beta). One
standard error of an accuracy is about 0.5 points on 5,000 images, and more where seeds
differ.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import os
import pathlib
import statistics
import time
from collections.abc import Iterable, Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import zoo_extensions as zx  # isort: skip  (chooses Keras 2)
import numpy as np
import tensorflow as tf

from larq_bnnopt.optimizers import CaseOptimizer, Diode, GradientFilter
from larq_bnnopt.optimizers.updates import diode, gradient_filter

OPTIMIZERS = ("diode", "gradient_filter")
LENGTHS = (120, 480, 1920)
SEEDS = (0, 1, 2)
BATCH = 64
VALIDATION = 5000
ADAM_RATE = 0.01
SHARES = {"diode": (0.3, 1, 3, 10), "gradient_filter": (1, 3, 10, 30, 100)}
ALPHA_MEMORIES = (1, 3, 10, 30)
TOO_MUCH = 0.02
GAMMAS = (0.03, 0.3)
PAPER = {"diode": (0.99, 0.9999), "gradient_filter": (1e-3, 0.1)}
# Those of recipes.OneStep when this study was made.
RECIPE = {"diode": (0.9, 0.999), "gradient_filter": (1e-2, 0.1)}
FIELDS = (
    "dataset",
    "optimizer",
    "steps",
    "alpha",
    "beta_or_gamma",
    "seed",
    "validation",
    "test",
    "seconds",
)


def diode_rule(steps: int) -> tuple[float, float]:
    """Returns alpha and beta of Diode for a run of a number of steps."""
    chosen = diode.averages_for_steps(steps)
    return round(chosen["alpha"], 6), round(chosen["beta"], 6)


def filter_rule(steps: int) -> tuple[float, float]:
    """Returns alpha and gamma of the gradient filter for a number of steps."""
    chosen = gradient_filter.averages_for_steps(steps)
    return round(chosen["alpha"], 6), chosen["gamma"]


RULES = {"diode": diode_rule, "gradient_filter": filter_rule}


@dataclasses.dataclass(frozen=True, order=True)
class Run:
    """One training.

    Attributes:
        dataset: Name for tensorflow-datasets.
        optimizer: One of `OPTIMIZERS`.
        steps: Total number of steps.
        alpha: Of Diode or the filter; of the filter, the first value of its cosine.
        second: Beta of Diode or gamma of the filter.
        seed: Seed of weights and order.
    """

    dataset: str
    optimizer: str
    steps: int
    alpha: float
    second: float
    seed: int


def remembering(memory: float) -> float:
    """Returns the share that an average keeps to remember a number of steps."""
    return round(1 - 1 / memory, 6)


def grid(optimizer: str, steps: int) -> list[tuple[float, float]]:
    """Returns the constants to search at a length; equal places follow one rule."""
    shares = SHARES[optimizer]
    if optimizer == "gradient_filter":
        return [(_filter_alpha(steps, share), 0.1) for share in shares]
    return [
        (remembering(memory), remembering(max(2, steps / share)))
        for share in shares
        for memory in ALPHA_MEMORIES
    ]


def first_pass(
    optimizer: str, lengths: tuple[int, ...], results: Results
) -> Iterator[Run]:
    """Yields the grid and the fixed constants with one seed.

    A cell of the grid that loses more than `TOO_MUCH` at a length is left out at the
    longer ones.
    """
    cells = set(range(len(grid(optimizer, lengths[0]))))
    for steps in lengths:
        pairs = grid(optimizer, steps)
        fixed = [PAPER[optimizer], RECIPE[optimizer]]
        for pair in [*(pairs[cell] for cell in sorted(cells)), *fixed]:
            yield Run("fashion_mnist", optimizer, steps, *pair, SEEDS[0])
        loss = losses(optimizer, steps, results)
        cells = {cell for cell in cells if loss[cell] <= TOO_MUCH}


def losses(optimizer: str, steps: int, results: Results) -> dict[int, float]:
    """Returns what every measured cell of the grid loses against the best."""
    means = {}
    for cell, pair in enumerate(grid(optimizer, steps)):
        values = results.values("fashion_mnist", optimizer, steps, pair)
        if values:
            means[cell] = values[0]  # One seed for all, so that it cancels.
    return {cell: max(means.values()) - mean for cell, mean in means.items()}


def second_pass(
    optimizer: str, lengths: tuple[int, ...], results: Results
) -> Iterator[Run]:
    """Yields all seeds of the candidates, and other gammas.

    The candidates are the rule, the fixed constants and the cell of the grid that loses
    least over all lengths.
    """
    loss = {steps: losses(optimizer, steps, results) for steps in lengths}
    cells = set.intersection(*(set(values) for values in loss.values()))
    common = sorted(cells, key=lambda cell: sum(loss[n][cell] for n in lengths))
    for steps in lengths:
        pairs = grid(optimizer, steps)
        best = pairs[common[0]]
        fixed = [PAPER[optimizer], RECIPE[optimizer]]
        for pair in dict.fromkeys([RULES[optimizer](steps), *fixed, best]):
            for seed in SEEDS:
                yield Run("fashion_mnist", optimizer, steps, *pair, seed)
        if optimizer == "gradient_filter":
            for gamma in GAMMAS:
                for seed in SEEDS[: 1 if steps == max(lengths) else 2]:
                    yield Run("fashion_mnist", optimizer, steps, best[0], gamma, seed)


def report_runs(
    dataset: str, optimizer: str, lengths: Iterable[int], seeds: Iterable[int]
) -> Iterator[Run]:
    """Yields the rule, the paper's constants and the recipe's, seed by seed."""
    for steps in lengths:
        for seed in seeds:
            for pair in candidates(optimizer, steps).values():
                yield Run(dataset, optimizer, steps, *pair, seed)


def candidates(optimizer: str, steps: int) -> dict[str, tuple[float, float]]:
    """Returns the constants that the report compares, by name."""
    return {
        "rule": RULES[optimizer](steps),
        "paper": PAPER[optimizer],
        "recipe": RECIPE[optimizer],
    }


def _filter_alpha(steps: int, share: float) -> float:
    return min(1.0, round(share / steps, 6))


class Results:
    """The accuracies so far, kept in a CSV file."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._rows: dict[Run, dict[str, float | None]] = {}
        if path.exists():
            self.read()
        else:
            path.write_text(",".join(FIELDS) + "\n")

    def read(self) -> None:
        """Takes over the rows of the file, those of other processes included."""
        with self._path.open(newline="") as file:
            for row in csv.DictReader(file):
                run = Run(
                    row["dataset"],
                    row["optimizer"],
                    int(row["steps"]),
                    float(row["alpha"]),
                    float(row["beta_or_gamma"]),
                    int(row["seed"]),
                )
                self._rows[run] = {
                    name: float(row[name]) if row[name] else None
                    for name in ("validation", "test", "seconds")
                }

    def add(
        self, run: Run, validation: float, test: float | None, seconds: float
    ) -> None:
        """Appends a row."""
        self._rows[run] = {"validation": validation, "test": test, "seconds": seconds}
        shown = "" if test is None else f"{test:.4f}"
        values = [*dataclasses.astuple(run), f"{validation:.4f}", shown]
        with self._path.open("a", newline="") as file:
            file.write(",".join(map(str, [*values, f"{seconds:.1f}"])) + "\n")

    def has(self, run: Run, column: str) -> bool:
        """Tells whether a run was measured."""
        return self._rows.get(run, {}).get(column) is not None

    def seconds(self, run: Run) -> float:
        """Returns how long a run took that was measured before."""
        return self._rows.get(run, {}).get("seconds") or 0.0

    def weights(self, run: Run) -> pathlib.Path:
        """Returns the file for the weights that a run ended with."""
        name = "-".join(map(str, dataclasses.astuple(run)))
        folder = self._path.with_suffix(".weights")
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.npz"

    def values(
        self,
        dataset: str,
        optimizer: str,
        steps: int,
        pair: tuple[float, float],
        column: str = "validation",
    ) -> list[float]:
        """Returns the accuracies of the seeds that were measured."""
        runs = [Run(dataset, optimizer, steps, *pair, seed) for seed in SEEDS]
        values = [self._rows.get(run, {}).get(column) for run in runs]
        return [value for value in values if value is not None]

    def mean(self, *arguments: Any) -> float:
        """Returns the mean of `values`."""
        return statistics.mean(self.values(*arguments))

    def searched(self, optimizer: str) -> dict[int, list[tuple[float, float]]]:
        """Returns the pairs of constants validated on Fashion-MNIST, by length."""
        found: dict[int, set[tuple[float, float]]] = {}
        for run in self._rows:
            if (run.dataset, run.optimizer) == ("fashion_mnist", optimizer):
                found.setdefault(run.steps, set()).add((run.alpha, run.second))
        return {steps: sorted(found[steps]) for steps in sorted(found)}


class Variable(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A constant that can be changed between runs of one traced step."""

    def __init__(self) -> None:
        self.value = tf.Variable(0.5, trainable=False)

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the value."""
        return tf.convert_to_tensor(self.value)


class Cosine(Variable):
    """Half a cosine from a changeable value to zero over changeable steps."""

    def __init__(self, value: float = 0.5) -> None:
        super().__init__()
        self.value.assign(value)
        self.steps = tf.Variable(1.0, trainable=False)

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the value at a step."""
        part = tf.minimum(tf.cast(step, tf.float32) / self.steps, 1.0)
        return self.value * 0.5 * (1.0 + tf.cos(math.pi * part))


@dataclasses.dataclass(frozen=True)
class Images:
    """A data set in memory: bytes and labels of the three splits."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    @classmethod
    def load(cls, name: str, data_dir: str | None) -> Images:
        """Loads a data set of tensorflow-datasets; the last 5,000 validate."""
        import tensorflow_datasets as tfds

        parts = {}
        for split in ("train", "test"):
            data = tfds.load(name, split=split, batch_size=-1, data_dir=data_dir)
            parts[split] = (data["image"].numpy(), data["label"].numpy())
        images, labels = parts["train"]
        return cls(
            (images[:-VALIDATION], labels[:-VALIDATION]),
            (images[-VALIDATION:], labels[-VALIDATION:]),
            parts["test"],
        )

    def order(self, seed: int, steps: int) -> np.ndarray:
        """Returns the indices of the training images, a row for each step."""
        size = len(self.train[1])
        whole = size // BATCH * BATCH
        generator = np.random.default_rng(seed)
        epochs = -(-steps * BATCH // whole)
        order = [generator.permutation(size)[:whole] for _ in range(epochs)]
        return np.concatenate(order)[: steps * BATCH].reshape(steps, BATCH)


def new_model(images: Images, seed: int) -> tf.keras.Model:
    """Builds the model with the weights that the seed gives."""
    tf.keras.utils.set_random_seed(seed)
    return zx.create_model(
        "tiny_residual_bnn",
        input_shape=images.train[0].shape[1:],
        num_classes=int(images.train[1].max()) + 1,
        latent_weights=False,
    )


def scaled(images: Any) -> tf.Tensor:
    """Returns bytes as float32 in [-1, 1]."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


class Trainer:
    """A model whose training step is traced once for all constants.

    Args:
        optimizer: One of `OPTIMIZERS`.
        images: The data.
        jit: What XLA compiles: `"none"`, `"gradients"` or `"step"`. Defaults to
            `"none"`.
    """

    def __init__(self, optimizer: str, images: Images, jit: str = "none"):
        self._images = images
        self._model = new_model(images, 0)
        self._cosines = [Cosine(ADAM_RATE), Cosine(1.0)]
        self._second = Variable()
        self._alpha = Variable() if optimizer == "diode" else self._cosines[1]
        binary: Diode | GradientFilter
        if optimizer == "diode":
            binary = Diode(self._cosines[1], self._alpha, self._second)
        else:
            binary = GradientFilter(self._alpha, self._second)
        self._optimizer = CaseOptimizer(
            (binary.is_binary_variable, binary),
            default_optimizer=tf.keras.optimizers.Adam(self._cosines[0]),
        )
        self._optimizer.build(self._model.trainable_variables)
        self._gradients = tf.function(self._compute, jit_compile=jit == "gradients")
        self._step = tf.function(self._apply, jit_compile=jit == "step")
        self._correct = tf.function(self._count, jit_compile=jit != "none")

    def _compute(self, images: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            probabilities = self._model(scaled(images), training=True)
            loss = tf.keras.losses.sparse_categorical_crossentropy(
                labels, probabilities
            )
            loss = tf.reduce_mean(loss)
        return tape.gradient(loss, self._model.trainable_variables)

    def _apply(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        gradients = self._gradients(images, labels)
        self._optimizer.apply_gradients(zip(gradients, self._model.trainable_variables))

    def _count(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        answers = tf.argmax(self._model(scaled(images), training=False), axis=-1)
        return tf.reduce_sum(tf.cast(answers == labels, tf.int32))

    def train(self, run: Run, stop: int | None = None) -> None:
        """Trains from the start of a seed, on request fewer steps than the run has."""
        self._model.set_weights(new_model(self._images, run.seed).get_weights())
        for optimizer in (self._optimizer, *self._optimizer.optimizers):
            for variable in optimizer.variables:
                variable.assign(tf.zeros_like(variable))
        for cosine in self._cosines:
            cosine.steps.assign(run.steps)
        self._alpha.value.assign(run.alpha)
        self._second.value.assign(run.second)
        images, labels = self._images.train
        for batch in self._images.order(run.seed, run.steps)[:stop]:
            self._step(tf.constant(images[batch]), tf.constant(labels[batch]))

    def save(self, file: pathlib.Path) -> None:
        """Keeps the weights of the model."""
        np.savez(file, *self._model.get_weights())

    def load(self, file: pathlib.Path) -> None:
        """Takes over weights that were kept."""
        with np.load(file) as weights:
            self._model.set_weights([weights[name] for name in weights.files])

    def accuracy(self, data: tuple[np.ndarray, np.ndarray], batch: int = 500) -> float:
        """Returns the share of images that get the right class."""
        images, labels = data
        parts = [slice(i, i + batch) for i in range(0, len(labels), batch)]
        correct = [
            self._correct(tf.constant(images[part]), tf.constant(labels[part]))
            for part in parts
        ]
        return sum(int(count) for count in correct) / len(labels)


class Study:
    """Runs trainings that are not in the results yet."""

    def __init__(self, results: Results, data_dir: str | None, jit: str):
        self._results = results
        self._data_dir = data_dir
        self._jit = jit
        self._images: dict[str, Images] = {}
        self._trainers: dict[tuple[str, str], Trainer] = {}

    def images(self, dataset: str) -> Images:
        """Returns a data set, loaded once."""
        if dataset not in self._images:
            self._images[dataset] = Images.load(dataset, self._data_dir)
        return self._images[dataset]

    def measure(self, runs: Iterable[Run], *, test: bool) -> None:
        """Trains, measures and keeps every run that is missing."""
        for run in runs:
            self._results.read()
            if self._results.has(run, "test" if test else "validation"):
                continue
            images = self.images(run.dataset)
            key = (run.dataset, run.optimizer)
            if key not in self._trainers:
                self._trainers[key] = Trainer(run.optimizer, images, self._jit)
            trainer = self._trainers[key]
            file = self._results.weights(run)
            if file.exists():
                trainer.load(file)
                seconds = self._results.seconds(run)
            else:
                start = time.perf_counter()
                trainer.train(run)
                seconds = time.perf_counter() - start
                trainer.save(file)
            validation = trainer.accuracy(images.validation)
            tested = trainer.accuracy(images.test) if test else None
            self._results.add(run, validation, tested, seconds)
            print(run, f"{tested if test else validation:.4f}", flush=True)

    def check(self, optimizer: str, steps: int) -> None:
        """Prints the time of a step and the accuracy of this loop and of `fit`."""
        images = self.images("fashion_mnist")
        run = Run("fashion_mnist", optimizer, steps, *RECIPE[optimizer], 0)
        for jit in ("none", "gradients", "step"):
            trainer = Trainer(optimizer, images, jit)
            trainer.train(run, 3)
            start = time.perf_counter()
            trainer.train(run, 50)
            seconds = (time.perf_counter() - start) / 50
            print(f"{optimizer} XLA for {jit}: {1000 * seconds:.1f} ms a step")
        trainer = Trainer(optimizer, images, self._jit)
        trainer.train(run)
        print(f"This loop: {trainer.accuracy(images.validation):.4f}")
        print(f"model.fit: {fit(run, images):.4f}", flush=True)


def fit(run: Run, images: Images) -> float:
    """Does a run with `model.fit` and fixed constants, as the recipe does."""
    from larq_bnnopt.schedules import cosine

    model = new_model(images, run.seed)
    binary: Diode | GradientFilter
    if run.optimizer == "diode":
        binary = Diode(cosine(1.0, run.steps), run.alpha, run.second)
    else:
        binary = GradientFilter(cosine(run.alpha, run.steps), run.second)
    adam = tf.keras.optimizers.Adam(cosine(ADAM_RATE, run.steps))
    model.compile(
        CaseOptimizer((binary.is_binary_variable, binary), default_optimizer=adam),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    order = images.order(run.seed, run.steps).reshape(-1)
    model.fit(
        scaled(images.train[0][order]),
        images.train[1][order],
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
    )
    validation, labels = images.validation
    return model.evaluate(scaled(validation), labels, batch_size=500, verbose=0)[1]


def print_search(results: Results, optimizer: str) -> None:
    """Prints the validation accuracy of all constants."""
    print(
        f"\nValidation accuracy on Fashion-MNIST, {optimizer}\n\n"
        "| steps | constants | memories in steps | mean | seeds |\n"
        "|--:|---|---|--:|---|"
    )
    for steps, pairs in results.searched(optimizer).items():
        pairs.sort(key=lambda p: -results.mean("fashion_mnist", optimizer, steps, p))
        for pair in pairs:
            values = results.values("fashion_mnist", optimizer, steps, pair)
            print(
                f"| {steps} | {constants(optimizer, pair)} "
                f"| {memories(optimizer, pair)} | {statistics.mean(values):.1%} "
                f"| {', '.join(f'{value:.1%}' for value in values)} |"
            )


def print_report(results: Results, lengths: Iterable[int]) -> None:
    """Prints the test accuracy of the rules and of the fixed constants."""
    print(
        "\nTest accuracy\n\n"
        "| data set | steps | optimizer | constants | mean | seeds |\n"
        "|---|--:|---|---|--:|---|"
    )
    for dataset in ("fashion_mnist", "cifar10"):
        for steps in lengths:
            for optimizer in OPTIMIZERS:
                for name, pair in candidates(optimizer, steps).items():
                    values = results.values(dataset, optimizer, steps, pair, "test")
                    if values:
                        print(
                            f"| {dataset} | {steps} | {optimizer} "
                            f"| {name}: {constants(optimizer, pair)} "
                            f"| {statistics.mean(values):.1%} "
                            f"| {', '.join(f'{value:.1%}' for value in values)} |"
                        )


def constants(optimizer: str, pair: tuple[float, float]) -> str:
    """Names the constants of an optimizer."""
    second = "beta" if optimizer == "diode" else "gamma"
    return f"alpha {pair[0]:g}, {second} {pair[1]:g}"


def memories(optimizer: str, pair: tuple[float, float]) -> str:
    """Returns how many steps the first and the second average remember."""
    if optimizer == "diode":
        first, second = (1 / (1 - value) for value in pair)
    else:
        second, first = (1 / value for value in pair)
    return f"{first:.3g}, {second:.4g}"


def main() -> None:
    """Does one stage and prints its tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stage", choices=("check", "search", "report", "tables"))
    parser.add_argument("--data-dir", help="folder of tensorflow-datasets")
    parser.add_argument("--results", type=pathlib.Path, default="averages.csv")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, action="append")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument(
        "--datasets", nargs="+", default=("fashion_mnist", "cifar10"), help="to report"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="to report")
    parser.add_argument("--jit", default="none", help="none, gradients or step")
    parser.add_argument(
        "--bfloat16", action="store_true", help="convolutions in bfloat16, on Intel"
    )
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    if arguments.bfloat16:
        tf.config.optimizer.set_experimental_options(
            {"auto_mixed_precision_onednn_bfloat16": True}
        )
    results = Results(arguments.results)
    study = Study(results, arguments.data_dir, arguments.jit)
    lengths = tuple(arguments.lengths)
    optimizers = arguments.optimizer or OPTIMIZERS
    if arguments.stage == "check":
        for optimizer in optimizers:
            study.check(optimizer, lengths[0])
    if arguments.stage == "search":
        for optimizer in optimizers:
            study.measure(first_pass(optimizer, lengths, results), test=False)
            study.measure(second_pass(optimizer, lengths, results), test=False)
    if arguments.stage == "report":
        for dataset in arguments.datasets:
            for optimizer in optimizers:
                runs = report_runs(dataset, optimizer, lengths, arguments.seeds)
                study.measure(runs, test=True)
    if arguments.stage in ("search", "tables"):
        for optimizer in optimizers:
            print_search(results, optimizer)
    if arguments.stage in ("report", "tables"):
        print_report(results, lengths)


if __name__ == "__main__":
    main()
