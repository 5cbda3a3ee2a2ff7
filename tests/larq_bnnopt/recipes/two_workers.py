"""Trains a network without batch normalization, as one of several processes.

    python two_workers.py FOLDER IMAGES [multi_worker]

Run by test_strategies.py.
"""

import sys

from larq_bnnopt import recipes
from larq_bnnopt.recipes import OneStep

strategy = recipes.strategy_of(sys.argv[3] if len(sys.argv) > 3 else None)

import larq as lq  # noqa: E402
import tensorflow as tf  # noqa: E402


class Plain(OneStep):
    """A recipe whose network has no batch normalization, which sees its own share."""

    def create_model(self, data, latent_weights):
        tf.keras.utils.set_random_seed(self.seed)
        binary = {
            "input_quantizer": "ste_sign",
            "kernel_quantizer": "ste_sign",
            "kernel_constraint": "weight_clip",
        }
        return tf.keras.Sequential(
            [
                tf.keras.Input(data.input_shape),
                tf.keras.layers.Conv2D(8, 3, 2),
                lq.layers.QuantConv2D(8, 3, **binary),
                tf.keras.layers.GlobalAveragePooling2D(),
                tf.keras.layers.Dense(data.num_classes, activation="softmax"),
            ]
        )


recipe = Plain(
    dataset=sys.argv[2], image_size=16, batch_size=24, epochs=2, optimizer="adam"
)
run = recipes.Run(sys.argv[1])
if run.folder.exists():
    recipes.RECIPES["one_step"] = Plain
    recipes.resume(run, strategy=strategy)
else:
    recipes.train(recipe, run.folder, strategy=strategy)
