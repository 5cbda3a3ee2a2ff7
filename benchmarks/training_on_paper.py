#!/usr/bin/env python3
"""Estimate of the memory and time of a training on GPUs; nothing is trained.

    python benchmarks/training_on_paper.py --model reactnet_a --batch 256 --gpus 4
        --epochs 256 --tflops 20

Memory of one GPU: the weights, their gradients and the averages of the optimizers, and
the outputs of all layers for its share of the batch, which the backward pass reads, in
float32. TensorFlow frees some of them early and needs room to compute besides.
Time: three passes of the network's multiplications and additions, one forward and two
backward, binary ones as floats, which is how Keras trains them; divided by what the GPU
is known to reach on networks, in 1e12 operations a second, times the GPUs.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import larq_bnnopt  # noqa: F401  isort: skip  (chooses Keras 2)
import numpy as np
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.callbacks import binary_kernels

IMAGENET = 1_281_167


def elements(shape: object) -> int:
    """Returns the number of elements of a sample, of one or several tensors."""
    shapes = shape if isinstance(shape, list) else [shape]
    return sum(int(np.prod(one[1:])) for one in shapes)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reactnet_a")
    parser.add_argument("--batch", type=int, default=256, help="of all GPUs")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--epochs", type=int, default=256)
    parser.add_argument("--images", type=int, default=IMAGENET)
    parser.add_argument("--tflops", type=float, required=True, help="of one GPU")
    arguments = parser.parse_args()
    model = zx.create_model(arguments.model, weights=None, latent_weights=False)
    binary = sum(int(np.prod(k.shape)) for k in binary_kernels(model).values())
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    outputs = sum(
        elements(layer.output_shape)
        for layer in model.layers
        if not isinstance(layer, tf.keras.layers.InputLayer)
    )
    counts = zx.count_ops(model)
    operations = 2 * (counts.bops + counts.flops)
    # Weight and gradient; two averages of each optimizer, Diode's and Adam's.
    state = 4 * 4 * trained
    print(
        f"{arguments.model}: {trained:,} trained weights, {binary:,} of them binary; "
        f"{outputs:,} numbers in the outputs of its layers for an image; "
        f"{operations / 1e9:.1f}e9 operations forward"
    )
    print("| GPUs | weights, averages, GB | outputs, GB | s an epoch | days in all |")
    print("|--:|--:|--:|--:|--:|")
    for gpus in arguments.gpus:
        share = 4 * outputs * -(-arguments.batch // gpus)
        seconds = 3 * operations * arguments.images / (gpus * arguments.tflops * 1e12)
        print(
            f"| {gpus} | {state / 1e9:.2f} | {share / 1e9:.1f} | {seconds:,.0f} | "
            f"{seconds * arguments.epochs / 86_400:.1f} |"
        )


if __name__ == "__main__":
    main()
