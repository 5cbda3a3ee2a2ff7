"""The factory of networks with residual stages: ResNetE, Bi-Real Net, ReActNet."""

from collections.abc import Sequence

import tensorflow as tf
from zookeeper import Field

from zoo_extensions.binary_factory import numbers_in_words
from zoo_extensions.stem_factory import StemFactory


class ResidualFactory(StemFactory):
    """Stages of binary 3x3 convolutions, each with a shortcut around it.

    The first convolution of every stage but the first halves the image.
    """

    options = {  # noqa: RUF012
        **StemFactory.options,
        "blocks": "Number of blocks of each stage.",
        "filters": "Channels of each stage; the stem has those of the first.",
    }

    blocks: Sequence[int] = Field((4, 4, 4, 4))
    filters: Sequence[int] = Field((64, 128, 256, 512))

    @Field
    def stem_filters(self) -> int:
        """The stem makes the channels of the first stage."""
        return self.filters[0]

    @property
    def downsampling(self) -> int:
        """Downsampling from the input to the last feature map."""
        return self.stem_stride * 2 ** (len(self.filters) - 1)

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        self.require(
            "filters", min(self.filters, default=0) >= 1, "numbers of at least 1"
        )
        super().check()
        self.require(
            "blocks",
            len(self.blocks) == len(self.filters) and min(self.blocks) >= 1,
            f"{numbers_in_words(len(self.filters))} of at least 1, one for each of "
            f"filters={tuple(self.filters)}",
        )

    def require_stem_filters(self, holds: bool) -> None:
        """Raises a ValueError that names `filters` where the stem follows them."""
        if self.stem_filters != self.filters[0]:
            super().require_stem_filters(holds)
            return
        self.require(
            "filters",
            holds,
            "numbers of which the first is a multiple of 16, for the groups of the "
            "stem; stem='cifar' and stem='conv7x7' take any",
        )

    def shortcut_block(self, x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
        """The shortcut where the size changes: average pooling, 1x1 convolution."""
        x = tf.keras.layers.AveragePooling2D(
            2, padding="same", name=f"{name}_shortcut_pool"
        )(x)
        x = self.conv(x, filters, 1, f"{name}_shortcut_conv")
        return self.norm(x, f"{name}_shortcut_bn")

    def before_conv(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Layers between the input of a block and its convolution: none here."""
        return x

    def after_add(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Layers after the addition of the shortcut: none here."""
        return x

    def block(self, x: tf.Tensor, filters: int, strides: int, name: str) -> tf.Tensor:
        """Binary convolution and batch normalization with a shortcut around both."""
        residual = x if strides == 1 else self.shortcut_block(x, filters, name)
        x = self.before_conv(x, name)
        x = self.binary_conv(x, filters, 3, f"{name}_binconv", strides)
        x = self.norm(x, f"{name}_bn")
        x = tf.keras.layers.Add(name=f"{name}_add")([x, residual])
        return self.after_add(x, name)

    def stages(self, x: tf.Tensor) -> tf.Tensor:
        """All blocks."""
        for stage, (blocks, filters) in enumerate(zip(self.blocks, self.filters)):
            for block in range(blocks):
                strides = 2 if stage > 0 and block == 0 else 1
                x = self.block(x, filters, strides, f"stage_{stage}_block_{block}")
        return x

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """Stem and stages."""
        return self.stages(self.stem_block(x))
