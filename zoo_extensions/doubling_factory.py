"""The factory of ReActNet and BNext: blocks that keep or double the channels."""

from collections.abc import Sequence

import tensorflow as tf
from zookeeper import Field

from zoo_extensions.binary_factory import BinaryFactory


class DoublingFactory(BinaryFactory):
    """A stem of one 3x3 convolution, and blocks that keep or double the channels.

    A block that doubles the channels halves the image, except the first one.
    """

    options = {  # noqa: RUF012
        "stem": '`"conv3x3"`, a 3x3 convolution of stride 2, or `"cifar"`, one of '
        "stride 1 for small images.",
        "filters": "Channels of the stem and of each block, equal to those before it "
        "or twice as many.",
    }

    stem: str = Field("conv3x3")
    filters: Sequence[int] = Field(
        (32, 64, *[128] * 2, *[256] * 2, *[512] * 6, *[1024] * 2)
    )

    def strides(self, inputs: int, outputs: int) -> int:
        """Stride of a block: 2 where the channels grow, but not in the first block."""
        return 2 if inputs != outputs and inputs != self.filters[0] else 1

    @property
    def downsampling(self) -> int:
        """Downsampling from the input to the last feature map."""
        product = 1 if self.stem == "cifar" else 2
        for inputs, outputs in zip(self.filters, self.filters[1:]):
            product *= self.strides(inputs, outputs)
        return product

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        self.require("stem", self.stem in ("conv3x3", "cifar"), "'conv3x3' or 'cifar'")
        pairs = list(zip(self.filters, self.filters[1:]))
        self.require(
            "filters",
            bool(pairs) and all(a >= 1 and b in (a, 2 * a) for a, b in pairs),
            "at least 2 numbers, each equal to the one before it or twice as large",
        )

    def block(self, x: tf.Tensor, filters: int, index: int) -> tf.Tensor:
        """One block."""
        raise NotImplementedError

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """Stem and blocks."""
        strides = 1 if self.stem == "cifar" else 2
        x = self.conv(x, self.filters[0], 3, "stem_conv", strides=strides)
        x = self.norm(x, "stem_bn")
        for index, filters in enumerate(self.filters[1:]):
            x = self.block(x, filters, index)
        return x
