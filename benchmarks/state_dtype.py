#!/usr/bin/env python3
"""Effect of bfloat16 averages: final signs, and accuracy.

    python benchmarks/state_dtype.py [--seeds 3] [--epochs 12]

Signs: the quickstart's network is trained with float32 averages; beside it, optimizers
with bfloat16 averages get the same gradients, with stochastic rounding as in the
library, and rounded to nearest for comparison. Accuracy: the quickstart's training, on
the 1,000 test images, beside what quickstart_accuracy.py measures in float32.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import statistics
import tempfile
from collections.abc import Iterator
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from larq_bnnopt import recipes
from larq_bnnopt.optimizers import CaseOptimizer, Diode, GradientFilter, storage

import tensorflow as tf  # isort: skip

KINDS: dict[str, Any] = {"diode": Diode, "gradient_filter": GradientFilter}


class Half(recipes.OneStep):
    """The quickstart's recipe with averages in bfloat16."""

    def build_optimizer(self, steps: int, *args: Any) -> tf.keras.optimizers.Optimizer:
        """Builds the optimizer for a run of a number of steps."""
        optimizer = super().build_optimizer(steps, *args)
        binary = KINDS[self.optimizer].for_steps(steps, state_dtype="bfloat16")
        return CaseOptimizer(
            (binary.is_binary_variable, binary),
            default_optimizer=optimizer.default_optimizer,
        )


@contextlib.contextmanager
def to_the_nearest() -> Iterator[None]:
    """Rounds averages to the nearest while a step is traced."""
    encode = storage.encode

    def nearest(value: Any, dtype: Any, rounding_bits: Any = None) -> Any:
        return encode(value, dtype)

    with mock.patch.object(storage, "encode", nearest):
        yield


def signs(recipe: recipes.OneStep) -> dict[str, float]:
    """Returns the shares of weights whose sign differs from float32 at the end."""
    data = recipe.load_data()
    model = recipe.build_model(data)
    steps = recipe.epochs * data.steps_per_epoch
    kernels = [
        variable
        for variable in model.trainable_variables
        if Diode.is_binary_variable(variable)
    ]
    kind = KINDS[recipe.optimizer]
    copies = {
        name: [tf.Variable(tf.convert_to_tensor(kernel)) for kernel in kernels]
        for name in ("stochastically", "to the nearest")
    }
    shadows = {name: kind.for_steps(steps, state_dtype="bfloat16") for name in copies}
    loss = tf.keras.losses.SparseCategoricalCrossentropy()
    for name, shadow in shadows.items():
        shadow.build(copies[name])
    model.optimizer.build(model.trainable_variables)

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        variables = model.trainable_variables
        gradients = tape.gradient(value, variables)
        model.optimizer.apply_gradients(zip(gradients, variables))
        of_kernels = [
            gradient
            for gradient, variable in zip(gradients, variables)
            if Diode.is_binary_variable(variable)
        ]
        for name, shadow in shadows.items():
            rounding = (
                to_the_nearest() if "nearest" in name else contextlib.nullcontext()
            )
            with rounding:
                shadow.apply_gradients(zip(of_kernels, copies[name]))

    for images, labels in data.train_from(0).take(steps):
        step(images, labels)
    total = sum(int(tf.size(kernel)) for kernel in kernels)
    return {
        name: sum(
            int(tf.math.count_nonzero(tf.convert_to_tensor(kernel) != copy))
            for kernel, copy in zip(kernels, variables)
        )
        / total
        for name, variables in copies.items()
    }


def main() -> None:
    """Measures and prints tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args()
    print("| optimizer | bfloat16, rounded | signs that differ from float32 |")
    print("|---|---|--:|", flush=True)
    for name in KINDS:
        recipe = recipes.OneStep(optimizer=name, epochs=arguments.epochs)
        for rounding, share in signs(recipe).items():
            print(f"| {KINDS[name].__name__} | {rounding} | {share:.2%} |", flush=True)
    print("\n| averages in bfloat16 | accuracy | seeds |\n|---|--:|---|")
    for name in KINDS:
        accuracies = []
        for seed in range(arguments.seeds):
            recipe = Half(optimizer=name, epochs=arguments.epochs, seed=seed)
            with tempfile.TemporaryDirectory() as folder:
                model = recipes.train(recipe, pathlib.Path(folder, "run"))
            accuracies.append(recipes.evaluate(model, recipe.load_data()).accuracy)
        seeds = ", ".join(f"{value:.1%}" for value in accuracies)
        mean = statistics.mean(accuracies)
        print(f"| {KINDS[name].__name__} | {mean:.1%} | {seeds} |", flush=True)


if __name__ == "__main__":
    main()
