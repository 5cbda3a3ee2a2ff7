"""MeliusNet (paper 002): dense blocks add channels, improvement blocks improve them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from larq_zoo.literature.meliusnet import MeliusNet22Factory
from zookeeper import Field, factory

from zoo_extensions.binary_densenet import BinaryDenseNetFactory
from zoo_extensions.model_function import ModelFunction, model_function


@factory
class MeliusNetFactory(BinaryDenseNetFactory):
    """Sections of dense and improvement blocks with transitions between them.

    A dense block appends 64 channels that a binary 3x3 convolution computes; the
    improvement block after it adds the output of a second one to these 64 channels
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

    options = {  # noqa: RUF012
        **BinaryDenseNetFactory.options,
        "improvement": '`"new_channels"`, the improvement block; `"residual"`, the '
        "alternative of appendix B of paper 002: a binary convolution to all channels, "
        "which is added to all of them.",
    }

    improvement: str = Field("new_channels")
    blocks = Field((4, 5, 4, 4))
    transitions = Field((160, 224, 256))
    larq_zoo_stem = "grouped"

    @Field
    def stem_pool_size(self) -> int:
        """Size of the stem's max pooling, smaller in larq-zoo than in the paper."""
        return 2 if self.weights == "imagenet" else 3

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        known = self.improvement in ("new_channels", "residual")
        self.require("improvement", known, "'new_channels' or 'residual'")
        if self.weights == "imagenet":
            ours = self.improvement == "new_channels"
            self.require("improvement", ours, "'new_channels' for weights='imagenet'")

    def block(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Appends new channels and improves them, or all."""
        new = self.binary_features(x, self.growth, f"{name}_dense")
        y = tf.keras.layers.Concatenate(name=f"{name}_dense_concat")([x, new])
        residual = self.improvement == "residual"
        improved = y.shape[-1] if residual else self.growth
        improvement = self.binary_features(y, improved, f"{name}_improve")
        if residual:
            return tf.keras.layers.Add(name=f"{name}_improve_add")([y, improvement])
        # The new channels are available as a tensor, so y needs no slice.
        new = tf.keras.layers.Add(name=f"{name}_improve_add")([new, improvement])
        return tf.keras.layers.Concatenate(name=f"{name}_improve_concat")([x, new])

    def larq_zoo_weights(
        self, source: tf.keras.Model, layers: list[tf.keras.layers.Layer]
    ) -> list[list[np.ndarray]]:
        """Returns the weights of larq-zoo's network for each of our layers."""
        theirs = {layer.name: layer.get_weights() for layer in source.layers}
        found = []
        for layer in layers:
            name = layer.name.replace("top_dense", "head_dense")
            groups = getattr(layer, "groups", 1)
            if groups > 1:  # Larq-zoo has a layer for each group.
                name = name.replace("_conv", "_groupconv_conv")
                kernels = [theirs[f"{name}{group}"][0] for group in range(groups)]
                found.append([np.concatenate(kernels, axis=-1)])
            else:
                found.append(theirs[name])
        return found


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


MeliusNet22 = _model(
    "22", (4, 5, 4, 4), (160, 224, 256), larq_zoo_factory=MeliusNet22Factory
)
MeliusNet29 = _model("29", (4, 6, 8, 6), (128, 192, 256))
MeliusNet42 = _model("42", (5, 8, 14, 10), (160, 256, 416))
MeliusNet59 = _model("59", (6, 12, 24, 12), (192, 320, 544))
MeliusNetA = _model("A", (4, 5, 5, 6), (160, 256, 288), transition_groups=4)
MeliusNetB = _model("B", (4, 6, 8, 6), (160, 224, 320), transition_groups=2)
MeliusNetC = _model("C", (3, 5, 10, 6), (128, 192, 288), transition_groups=4)

__test__ = {"MeliusNet22": MeliusNet22}
