"""BinaryDenseNet: each binary convolution appends channels to its input."""

from collections.abc import Sequence

import tensorflow as tf
from larq_zoo.core.model_factory import ModelFactory
from larq_zoo.literature import densenet
from zookeeper import Field, factory

from zoo_extensions.binary_factory import numbers_in_words
from zoo_extensions.layers import ChannelShuffle
from zoo_extensions.model_function import ModelFunction, model_function
from zoo_extensions.stem_factory import StemFactory


@factory
class BinaryDenseNetFactory(StemFactory):
    """Sections of dense blocks with transitions between them.

    A dense block is batch normalization, sign and a binary 3x3 convolution, whose
    output is appended to its input. A transition halves the image by max pooling and
    reduces the channels by a real 1x1 convolution. Paper 002 (Table 2) trains both
    networks with the 7x7 stem of the original and with its own grouped stem.
    """

    references: Sequence[str] = (
        "[Back to Simplicity: How to Train Accurate BNNs from Scratch?]"
        "(https://arxiv.org/abs/1906.08637)",
        "Paper 002: [MeliusNet](https://arxiv.org/abs/2001.05936), Table 2.",
    )

    argument_texts = {  # noqa: RUF012
        "weights": "Path of a file of weights, `None` for random ones, or with "
        '`stem="conv7x7"` also `"imagenet"`: larq-zoo downloads its own; with '
        "`latent_weights=False` their signs are taken."
    }

    options = {  # noqa: RUF012
        **StemFactory.options,
        "stem_filters": "Channels of the stem.",
        "blocks": "Number of blocks of each section.",
        "transitions": "Channels after each transition, one number fewer than "
        "`blocks`.",
        "growth": "Channels that a block appends.",
        "transition_order": '`"pool_first"`: a transition is batch normalization, max '
        'pooling, ReLU and 1x1 convolution; `"conv_first"`: ReLU, 1x1 convolution and '
        "average pooling as in DenseNet, with four times the operations. The 32-bit "
        "networks of paper 002 (section 4.2) have that and the 7x7 stem.",
    }

    blocks: Sequence[int] = Field((6, 6, 6, 5))
    transitions: Sequence[int] = Field((160, 192, 256))
    transition_groups: int = Field(1)
    shuffle_groups: int = Field(16)
    growth: int = Field(64)
    transition_order: str = Field("pool_first")
    clip_value: float = Field(1.3)

    @property
    def downsampling(self) -> int:
        """Downsampling from the input to the last feature map."""
        return self.stem_stride * 2 ** len(self.transitions)

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        self.require(
            "blocks",
            len(self.blocks) == len(self.transitions) + 1 and min(self.blocks) >= 1,
            f"{numbers_in_words(len(self.transitions) + 1)} of at least 1, one more "
            f"than transitions={tuple(self.transitions)}",
        )
        self.require("growth", self.growth >= 1, "at least 1")
        known = self.transition_order in ("pool_first", "conv_first")
        self.require("transition_order", known, "'pool_first' or 'conv_first'")
        if self.weights == "imagenet":
            first = self.transition_order == "pool_first"
            valid = "'pool_first' for weights='imagenet'"
            self.require("transition_order", first, valid)
        groups = self.transition_groups
        self.require("transition_groups", groups >= 1, "at least 1")
        self.require(
            "transitions",
            all(c >= 1 and c % groups == 0 for c in self.transitions),
            f"multiples of transition_groups={groups}",
        )
        channels = self.stem_filters
        for blocks, out in zip(self.blocks, self.transitions):
            channels += blocks * self.growth
            for argument in ("transition_groups", "shuffle_groups"):
                self.require(
                    argument,
                    groups == 1 or channels % getattr(self, argument) == 0,
                    f"a divisor of the {channels} channels before a transition",
                )
            channels = out

    def binary_features(self, x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
        """Batch normalization, sign, binary convolution."""
        x = self.norm(x, f"{name}_bn")
        return self.binary_conv(x, filters, 3, f"{name}_binconv")

    def block(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Appends new channels."""
        y = self.binary_features(x, self.growth, f"{name}_dense")
        return tf.keras.layers.Concatenate(name=f"{name}_dense_concat")([x, y])

    def transition(self, x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
        """Halves the image and reduces the channels."""
        pool_first = self.transition_order == "pool_first"
        x = self.norm(x, f"{name}_bn")
        if pool_first:
            x = tf.keras.layers.MaxPooling2D(2, padding="same", name=f"{name}_maxpool")(
                x
            )
        x = self.activate(x, "relu", f"{name}_relu")
        if self.transition_groups > 1:
            x = ChannelShuffle(self.shuffle_groups, name=f"{name}_shuffle")(x)
        x = self.conv(x, filters, 1, f"{name}_pw", groups=self.transition_groups)
        if pool_first:
            return x
        return tf.keras.layers.AveragePooling2D(
            2, padding="same", name=f"{name}_avgpool"
        )(x)

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """Stem, sections, transitions, and the last normalization."""
        x = self.stem_block(x)
        for section, blocks in enumerate(self.blocks):
            if section > 0:
                filters = self.transitions[section - 1]
                x = self.transition(x, filters, f"section_{section - 1}_transition")
            for block in range(blocks):
                x = self.block(x, f"section_{section}_block_{block}")
        x = self.norm(x, "head_bn")
        return self.activate(x, "relu", "head_relu")


def _model(
    number: int,
    blocks: tuple[int, ...],
    transitions: tuple[int, ...],
    larq_zoo_factory: type[ModelFactory],
) -> ModelFunction:
    return model_function(
        BinaryDenseNetFactory,
        f"BinaryDenseNet{number}",
        f"BinaryDenseNet{number}: {blocks} dense blocks, {sum(blocks)} in all.",
        name=f"binary_densenet{number}",
        blocks=blocks,
        transitions=transitions,
        larq_zoo_factory=larq_zoo_factory,
    )


BinaryDenseNet28 = _model(
    28, (6, 6, 6, 5), (160, 192, 256), densenet.BinaryDenseNet28Factory
)
BinaryDenseNet37 = _model(
    37, (6, 8, 12, 6), (128, 192, 256), densenet.BinaryDenseNet37Factory
)

__test__ = {"BinaryDenseNet28": BinaryDenseNet28}
