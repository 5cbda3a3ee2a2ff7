"""MeliusNet (paper 002): dense blocks add channels, improvement blocks mend them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from larq_zoo.literature import meliusnet as larq_zoo_meliusnet
from zookeeper import Field, factory

from zoo_extensions.binary_densenet import BinaryDenseNetFactory
from zoo_extensions.binary_factory import ModelFunction, model_function


@factory
class MeliusNetFactory(BinaryDenseNetFactory):
    """Sections of dense and improvement blocks with transitions between them.

    A dense block appends 64 channels that a binary 3x3 convolution computes; the
    improvement block behind it adds the output of a second one to these 64 channels
    alone. A transition halves the image by max pooling and reduces the channels by a
    real 1x1 convolution; where that has groups, a shuffle of 16 groups comes before it.
    Figure 1 and Table 1 of paper 002; the third transition of MeliusNet-C has 288
    channels, as in the authors' code, not the impossible 224/704 of the table.
    """

    references: Sequence[str] = (
        "Paper 002: [MeliusNet: Can Binary Neural Networks Achieve MobileNet-level "
        "Accuracy?](https://arxiv.org/abs/2001.05936)",
    )
    argument_texts = {  # noqa: RUF012
        "weights": "Path of a file of weights, `None` for random ones, or for "
        'MeliusNet22 `"imagenet"`: larq-zoo downloads its own (62.4 % top-1). They '
        "need the grouped stem and bring larq-zoo's 2x2 max pooling there; with "
        "`latent_weights=False` their signs are taken."
    }

    blocks = Field((4, 5, 4, 4))
    transitions = Field((160, 224, 256))
    has_imagenet_weights: bool = Field(False)

    @Field
    def stem_pool_size(self) -> int:
        """Size of the stem's max pooling, smaller in larq-zoo than in the paper."""
        return 2 if self.weights == "imagenet" else 3

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        if self.weights == "imagenet":
            valid = 'for weights="imagenet"'
            self.require("stem", self.stem == "grouped", f"'grouped' {valid}")
            channels = self.image_input.shape[-1]
            self.require("input_shape", channels == 3, f"of 3 channels {valid}")
            classes = self.num_classes == 1000 or not self.include_top
            self.require("num_classes", classes, f"1000 {valid}")

    def block(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Appends new channels and improves them."""
        new = self.binary_features(x, f"{name}_dense")
        y = tf.keras.layers.Concatenate(name=f"{name}_dense_concat")([x, new])
        improvement = self.binary_features(y, f"{name}_improve")
        # Not a slice of y: the new channels are still at hand.
        new = tf.keras.layers.Add(name=f"{name}_improve_add")([new, improvement])
        return tf.keras.layers.Concatenate(name=f"{name}_improve_concat")([x, new])

    def load(self, model: tf.keras.Model) -> None:
        """Fills the model with a file's weights or larq-zoo's."""
        if self.weights != "imagenet":
            super().load(model)
            return
        source = larq_zoo_meliusnet.MeliusNet22Factory(
            include_top=self.include_top, weights="imagenet", num_classes=1000
        ).build()
        theirs = {layer.name: layer.get_weights() for layer in source.layers}
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(self._from_larq_zoo(layer, theirs))

    def _from_larq_zoo(
        self, layer: tf.keras.layers.Layer, theirs: dict[str, list[np.ndarray]]
    ) -> list[np.ndarray]:
        """Returns the weights of the layers of larq-zoo that do what this one does."""
        groups = getattr(layer, "groups", 1)
        if groups > 1:  # There, a layer for each group.
            stage = layer.name.removesuffix("_conv")
            kernels = [theirs[f"{stage}_groupconv_conv{i}"][0] for i in range(groups)]
            return [np.concatenate(kernels, axis=-1)]
        weights = theirs[layer.name.replace("top_dense", "head_dense")]
        if hasattr(layer, "kernel_quantizer") and not self.latent_weights:
            weights = [np.where(weights[0] < 0, -1, 1)]
        return weights


def _model(
    variant: str, blocks: tuple[int, ...], transitions: tuple[int, ...], **fields: Any
) -> ModelFunction:
    groups = fields.get("transition_groups", 1)
    return model_function(
        MeliusNetFactory,
        f"MeliusNet{variant}",
        f"MeliusNet-{variant}: {blocks} pairs of blocks"
        + (f", transitions of {groups} groups." if groups > 1 else "."),
        name=f"meliusnet{variant}"
        if variant.isdigit()
        else f"meliusnet_{variant}".lower(),
        blocks=blocks,
        transitions=transitions,
        **fields,
    )


MeliusNet22 = _model("22", (4, 5, 4, 4), (160, 224, 256), has_imagenet_weights=True)
MeliusNet29 = _model("29", (4, 6, 8, 6), (128, 192, 256))
MeliusNet42 = _model("42", (5, 8, 14, 10), (160, 256, 416))
MeliusNet59 = _model("59", (6, 12, 24, 12), (192, 320, 544))
MeliusNetA = _model("A", (4, 5, 5, 6), (160, 256, 288), transition_groups=4)
MeliusNetB = _model("B", (4, 6, 8, 6), (160, 224, 320), transition_groups=2)
MeliusNetC = _model("C", (3, 5, 10, 6), (128, 192, 288), transition_groups=4)

__test__ = {"MeliusNet22": MeliusNet22}
