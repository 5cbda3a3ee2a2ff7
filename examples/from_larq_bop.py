#!/usr/bin/env python3
"""From larq's Bop to Diode: three lines change, and the saved model trains on.

    python examples/from_larq_bop.py

Trains a small network on the sample of Fashion-MNIST in the package, saves it half-way,
loads it and continues. With larq's CaseOptimizer the loaded model would train
nothing, without a warning.
"""

from __future__ import annotations

import pathlib
import tempfile

import larq as lq

import zoo_extensions as zx
from larq_bnnopt import datasets
from larq_bnnopt.optimizers import CaseOptimizer, Diode

import tensorflow as tf  # isort: skip


def network() -> tf.keras.Model:
    """A binary network, as one for larq's Bop; only the initializer is ours."""

    def binary() -> dict[str, object]:
        return {
            "kernel_quantizer": lq.quantizers.NoOp(precision=1),
            "kernel_initializer": zx.initializers.BernoulliSign(),
            "use_bias": False,
        }

    return tf.keras.Sequential(
        [
            tf.keras.Input((28, 28, 1)),
            lq.layers.QuantConv2D(32, 3, strides=2, **binary()),
            tf.keras.layers.BatchNormalization(momentum=0.9),
            lq.layers.QuantConv2D(
                64, 3, strides=2, input_quantizer="ste_sign", **binary()
            ),
            tf.keras.layers.BatchNormalization(momentum=0.9),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(10, "softmax"),
        ]
    )


def main() -> None:
    """Trains, saves, loads, trains on."""
    data = datasets.load("fashion_mnist_mini")
    epochs = 4
    steps = epochs * data.steps_per_epoch

    # Was: optimizer = lq.optimizers.CaseOptimizer(
    #          (lq.optimizers.Bop.is_binary_variable, lq.optimizers.Bop()),
    #          default_optimizer=tf.keras.optimizers.legacy.Adam(0.01),
    #      )
    optimizer = CaseOptimizer(
        (Diode.is_binary_variable, Diode.for_steps(steps)),
        default_optimizer=tf.keras.optimizers.Adam(0.01),
    )

    model = network()
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data.train, epochs=epochs // 2)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        model.save(path)
        model = tf.keras.models.load_model(path)
    model.fit(
        data.train,
        epochs=epochs,
        initial_epoch=epochs // 2,
        validation_data=data.test,
    )


if __name__ == "__main__":
    main()
