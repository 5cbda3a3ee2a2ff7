#!/usr/bin/env python3
"""A zookeeper experiment, as larq-zoo writes them, with a network and Diode of ours.

    python examples/zookeeper_experiment.py TrainNarrowBiRealNet
    python examples/zookeeper_experiment.py TrainNarrowBiRealNet epochs=5 \
        model.blocks="(2, 2)" model.filters="(32, 64)" output_dir=run

An experiment that was interrupted resumes when it is started again with its
`output_dir`. The data are the sample of Fashion-MNIST in the package. Put a
`TFDSDataset` there for others, and `larq_zoo.training.data.Default` for ImageNet.
"""

import pathlib
from collections.abc import Sequence

from larq_zoo.training.train import TrainLarqZooModel
from zookeeper import ComponentField, Field, cli, component, task
from zookeeper.tf import Dataset, Preprocessing

import zoo_extensions as zx
from larq_bnnopt import datasets, schedules
from larq_bnnopt.optimizers import CaseOptimizer, Diode

import tensorflow as tf  # isort: skip


@component
class FashionSample(Dataset):
    """The sample of Fashion-MNIST, as zookeeper takes data sets."""

    num_classes: int = Field(10)

    def num_examples(self, split):
        """Returns the number of images."""
        data = datasets.load("fashion_mnist_mini")
        return data.train_size if split == "train" else data.test_size

    def _examples(self, split):
        data = datasets.load("fashion_mnist_mini", augment=False)
        batches = data.train if split == "train" else data.test
        examples = batches.unbatch().map(lambda x, y: {"image": x, "label": y})
        return examples, self.num_examples(split)

    def train(self, decoders=None):
        """Returns the training images and their number."""
        return self._examples("train")

    def validation(self, decoders=None):
        """Returns the test images and their number."""
        return self._examples("test")


@component
class Plain(Preprocessing):
    """Takes images as they are: the sample holds them in [-1, 1]."""

    def input(self, data):
        """Returns the image."""
        return data["image"]

    def output(self, data):
        """Returns the label."""
        return data["label"]


@task
class TrainNarrowBiRealNet(TrainLarqZooModel):
    """A Bi-RealNet with kernels in {-1, +1}, trained by Diode beside Adam."""

    dataset = ComponentField(FashionSample)
    preprocessing = ComponentField(Plain)
    # That of the preprocessing, which has none of its own.
    input_shape: Sequence[int] = Field((28, 28, 1))
    # The number of classes comes from the data set.
    model = ComponentField(
        zx.BiRealNet20.factory,
        input_shape=(28, 28, 1),
        blocks=(1, 1),
        filters=(32, 64),
        latent_weights=False,
    )
    epochs = Field(2)
    batch_size = Field(64)
    metrics: Sequence[str] = Field(lambda: ["accuracy"])
    use_tensorboard = Field(False)

    @Field
    def optimizer(self):
        """Diode for kernels in {-1, +1}, Adam for the rest."""
        steps = self.steps_per_epoch * self.epochs
        return CaseOptimizer(
            (Diode.is_binary_variable, Diode.for_steps(steps)),
            default_optimizer=tf.keras.optimizers.Adam(schedules.cosine(0.01, steps)),
        )

    def __pre_configure__(self, conf):
        """Makes a path of `output_dir=...`: larq-zoo fails on a string."""
        if "output_dir" in conf:
            conf["output_dir"] = pathlib.Path(conf["output_dir"])
        return conf


if __name__ == "__main__":
    cli()
