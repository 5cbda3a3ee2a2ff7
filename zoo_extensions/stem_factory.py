"""Stems of the networks, and the factory of networks that start with one of them."""

from typing import Optional

import tensorflow as tf
from zookeeper import Field

from zoo_extensions.binary_factory import BinaryFactory


class StemFactory(BinaryFactory):
    """A network that starts with one of three stems.

    Figure 2 of paper 002 shows the first two; "cifar" is one 3x3 convolution of
    stride 1 for images of about 32x32 pixels.
    """

    options = {  # noqa: RUF012
        "stem": '`"grouped"`, the three 3x3 convolutions of paper 002, `"conv7x7"`, or '
        '`"cifar"`, one 3x3 convolution that keeps the size of small images.'
    }
    # The stem of larq-zoo's network.
    larq_zoo_stem: str = "conv7x7"
    # The activation of the stem's last convolution.
    stem_activation: Optional[str] = "relu"

    stem: str = Field("grouped")
    stem_filters: int = Field(64)
    stem_pool_size: int = Field(3)

    @property
    def stem_stride(self) -> int:
        """Downsampling of the stem."""
        return 1 if self.stem == "cifar" else 4

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        self.require(
            "stem",
            self.stem in ("grouped", "conv7x7", "cifar"),
            "'grouped', 'conv7x7' or 'cifar'",
        )
        if self.weights == "imagenet":
            valid = f"{self.larq_zoo_stem!r} for weights='imagenet'"
            self.require("stem", self.stem == self.larq_zoo_stem, valid)
        if self.stem == "grouped":
            filters = self.stem_filters
            self.require_stem_filters(filters > 0 and filters % 16 == 0)

    def require_stem_filters(self, holds: bool) -> None:
        """Raises a ValueError for channels that the grouped stem cannot have."""
        valid = "a multiple of 16 for the groups of the stem"
        self.require("stem_filters", holds, valid)

    def stem_block(self, x: tf.Tensor) -> tf.Tensor:
        """The real-valued start of the network."""
        if self.stem == "grouped":
            half = self.stem_filters // 2
            convolutions: list[tuple[int, int, dict[str, int]]] = [
                (half, 3, {"strides": 2}),
                (half, 3, {"groups": 4}),
                (self.stem_filters, 3, {"groups": 8}),
            ]
        elif self.stem == "conv7x7":
            convolutions = [(self.stem_filters, 7, {"strides": 2})]
        else:
            convolutions = [(self.stem_filters, 3, {})]
        for index, (filters, size, kwargs) in enumerate(convolutions):
            last = index == len(convolutions) - 1
            x = self.conv(x, filters, size, f"stem_s{index}_conv", **kwargs)
            x = self.norm(x, f"stem_s{index}_bn")
            kind = self.stem_activation if last else "relu"
            x = self.activate(x, kind, f"stem_s{index}_activation")
        if self.stem == "cifar":
            return x
        return tf.keras.layers.MaxPooling2D(
            self.stem_pool_size, 2, padding="same", name="stem_pool"
        )(x)
