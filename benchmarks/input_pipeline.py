#!/usr/bin/env python3
"""Images a second of the input pipeline alone, compared with the training step.

    python benchmarks/input_pipeline.py [--seconds 8] [--size 224] [--batch 64]

The sample of Fashion-MNIST, 28x28 pixels in memory; and photographs of 500x375 pixels,
made here of noise, 100 kB each, as a folder of files and as TFRecords; they are cut,
resized, mirrored and coloured at random. Beside them the training step alone of a
network for such images. A ratio above 1: training does not wait for its images.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import larq_bnnopt  # noqa: F401  isort: skip  (chooses Keras 2)
import numpy as np
import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.recipes import OneStep


def photographs(folder: pathlib.Path, number: int = 600) -> None:
    """Writes JPEG files of about 100 kB, in two classes."""
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for index in range(number // 2):
            rough = generator.normal(128, 60, size=(47, 63, 3))
            smooth = tf.image.resize(rough, (375, 500), "bicubic").numpy()
            noisy = smooth + generator.normal(0, 12, size=smooth.shape)
            image = tf.constant(np.clip(noisy, 0, 255), tf.uint8)
            content = tf.io.encode_jpeg(image, quality=90).numpy()
            (folder / name / f"{index}.jpg").write_bytes(content)


def pipeline(data: datasets.Dataset, seconds: float) -> list[float]:
    """Returns images a second of each of five parts of the time, after a start."""
    batches = iter(data.train_from(0))
    for _ in range(3):
        next(batches)
    rates = []
    for _ in range(5):
        start, images = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / 5:
            images += int(next(batches)[0].shape[0])
        rates.append(images / (time.perf_counter() - start))
    return rates


def training(recipe: OneStep, seconds: float) -> float:
    """Returns images a second of training steps on a batch that is there already."""
    data = recipe.load_data()
    model = recipe.build(0, data)
    batch = next(iter(data.train_from(0)))
    step, batches = (
        model.make_train_function(),
        iter(tf.data.Dataset.from_tensors(batch).repeat()),
    )
    step(batches)
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        step(batches)
        model.trainable_variables[-1].numpy()
        times.append(time.perf_counter() - start)
    return recipe.batch_size / statistics.median(times)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, TensorFlow {tf.__version__}, batch {arguments.batch}"
    )
    print(
        "| Data | pipeline alone, images/s: median | least | training takes | ratio |"
    )
    print("|:--|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        images = pathlib.Path(folder, "images")
        photographs(images)
        records = datasets.write_records(images, pathlib.Path(folder, "records"))
        rows = (
            ("fashion_mnist_mini, tiny_residual_bnn", datasets.EMBEDDED, None, None),
            ("folder of JPEG, birealnet18", str(images), arguments.size, "birealnet18"),
            ("TFRecords, birealnet18", str(records), arguments.size, "birealnet18"),
        )
        for text, name, size, model in rows:
            recipe = OneStep(
                dataset=name,
                image_size=size,
                batch_size=arguments.batch,
                model=model or "tiny_residual_bnn",
            )
            rates = pipeline(recipe.load_data(), arguments.seconds)
            taken = training(recipe, arguments.seconds)
            middle = statistics.median(rates)
            print(
                f"| {text} | {middle:,.0f} | {min(rates):,.0f} | {taken:,.0f} | "
                f"{middle / taken:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
