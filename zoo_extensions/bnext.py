"""BNext: squeeze-and-excitation and products with the shortcut around binary layers."""

from collections.abc import Sequence
from typing import Optional

import tensorflow as tf
from zookeeper import Field, factory

from zoo_extensions.binary_factory import BinaryFactory
from zoo_extensions.doubling_factory import DoublingFactory
from zoo_extensions.layers import LearnedMix, Shift
from zoo_extensions.model_function import ModelFunction, model_function
from zoo_extensions.quantizers import TemperatureSign
from zoo_extensions.residual_factory import ResidualFactory

# Reduction ratio of squeeze-and-excitation.
_SQUEEZE = 8


class _BNextFactory(BinaryFactory):
    """The common part of both kinds of BNext: attention and feed-forward."""

    options = {  # noqa: RUF012
        "squeeze_excite": "Whether squeeze-and-excitation scales the channels of each "
        "binary layer. `False` is the dagger of paper 003. That paper does not say "
        "what stays: here, as in the authors' code of the larger networks, attention "
        "keeps its product and its second normalization, and the feed-forward part "
        "loses its second normalization.",
    }
    argument_texts = {  # noqa: RUF012
        "latent_weights": "`True` trains real-valued kernels through "
        "`TemperatureSign`: lower its temperature with `TemperatureDecay`, and convert "
        "`force_sign(model)`. With `False` the kernels are {{-1, +1}} themselves, for "
        "Diode, the gradient filter and Bop.",
        "clip_value": "The gradient of the sign of activations is zero outside "
        "[-clip_value, clip_value], and latent weights are clipped to that interval.",
    }
    references: Sequence[str] = (
        "[BNext](https://arxiv.org/abs/2211.12933)",
        "Paper 003, section 4.1 and Table 1, trains BNext-18 with Diode.",
    )
    # A PReLU follows each convolution and its normalization.
    real_activation: Optional[str] = None
    real_activation_text: str = "the shift alone (PReLU is the activation)"
    # The temperature below which kernels are signs.
    threshold: float = 1e-7

    clip_value: float = Field(1.5)
    squeeze_excite: bool = Field(True)

    @property
    def latent_quantizer(self):
        """Sign whose temperature is annealed from epoch to epoch."""
        return TemperatureSign(self.threshold)

    @property
    def latent_initializer(self):
        """Small values, which the first temperature, 1, leaves unchanged."""
        return tf.keras.initializers.RandomNormal(stddev=1e-3)

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        if self.squeeze_excite:
            valid = f"at least {_SQUEEZE} each for squeeze_excite=True"
            self.require("filters", min(self.filters) >= _SQUEEZE, valid)

    def prelu(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """PReLU with a slope for each channel."""
        slope = tf.keras.initializers.Constant(0.25)
        return tf.keras.layers.PReLU(
            alpha_initializer=slope, shared_axes=(1, 2), name=name
        )(x)

    def pool(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Average pooling that halves the image."""
        return tf.keras.layers.AveragePooling2D(2, padding="same", name=name)(x)

    def branch(
        self, x: tf.Tensor, filters: int, kernel_size: int, strides: int, name: str
    ) -> tf.Tensor:
        """Sign with learned thresholds, binary convolution, normalization, PReLU."""
        x = Shift(name=f"{name}_shift")(x)
        x = self.binary_conv(x, filters, kernel_size, f"{name}_binconv", strides)
        x = self.norm(x, f"{name}_bn1")
        return self.prelu(x, f"{name}_prelu")

    def excite(self, y: tf.Tensor, other: tf.Tensor, name: str) -> tf.Tensor:
        """Squeeze-and-excitation: scales the channels by a function of their means."""
        filters = y.shape[-1]
        x = LearnedMix(name=f"{name}_mix")([other, y])
        x = tf.keras.layers.GlobalAveragePooling2D(
            keepdims=True, name=f"{name}_squeeze_pool"
        )(x)
        for part, channels, activation in (
            ("squeeze", filters // _SQUEEZE, "relu"),
            ("excite", filters, "sigmoid"),
        ):
            x = tf.keras.layers.Conv2D(
                channels,
                1,
                activation=activation,
                kernel_initializer=self.float_initializer,
                name=f"{name}_{part}_conv",
            )(x)
        return tf.keras.layers.Multiply(name=f"{name}_excite_multiply")([y, x])

    def attention(
        self,
        x: tf.Tensor,
        shortcut: tf.Tensor,
        mixed: tf.Tensor,
        strides: int,
        name: str,
    ) -> tf.Tensor:
        """A binary layer, multiplied by its shortcut before they are added."""
        y = self.branch(x, shortcut.shape[-1], 3, strides, name)
        if self.squeeze_excite:
            y = self.excite(y, mixed, name)
        y = tf.keras.layers.Multiply(name=f"{name}_multiply")([y, shortcut])
        y = self.norm(y, f"{name}_bn2")
        return tf.keras.layers.Add(name=f"{name}_add")([y, shortcut])

    def feed_forward(
        self,
        x: tf.Tensor,
        shortcut: tf.Tensor,
        kernel_size: int,
        strides: int,
        name: str,
    ) -> tf.Tensor:
        """A binary layer with a shortcut around it."""
        y = self.branch(x, shortcut.shape[-1], kernel_size, strides, name)
        if self.squeeze_excite:
            y = self.excite(y, shortcut, name)
            y = self.norm(y, f"{name}_bn2")
        return tf.keras.layers.Add(name=f"{name}_add")([y, shortcut])

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """Stem, blocks and a last PReLU."""
        return self.prelu(super().body(x), "last_prelu")


@factory
class BNextResidualFactory(_BNextFactory, ResidualFactory):
    """The stages of a ResNet, each block one attention and one feed-forward part.

    Each part is y = PReLU(BN(conv(sign(x + b)))) with a shortcut r, a mix
    m = a r + (1 - a) y with a learned a in [0, 1], and y' = SE(m) y. Attention returns
    BN(y' r) + r with r = PReLU(x), where the stage changes pooled and convolved; the
    feed-forward part returns BN(y') + r with r = x.
    """

    options = {**ResidualFactory.options, **_BNextFactory.options}  # noqa: RUF012
    threshold = 1e-5
    stem_activation: Optional[str] = None

    stem: str = Field("conv7x7")
    blocks: Sequence[int] = Field((2, 2, 2, 2))

    def block(self, x: tf.Tensor, filters: int, strides: int, name: str) -> tf.Tensor:
        """Attention and feed-forward, both of binary 3x3 convolutions."""
        part = f"{name}_attention"
        shortcut = self.prelu(x, f"{part}_shortcut_prelu")
        if strides == 2:
            shortcut = self.shortcut_block(shortcut, filters, part)
        x = self.attention(x, shortcut, shortcut, strides, part)
        return self.feed_forward(x, x, 3, 1, f"{name}_ffn")


@factory
class BNextFactory(_BNextFactory, DoublingFactory):
    """Blocks of a binary 3x3 and a binary 1x1 layer, with attention in every other one.

    Each layer is y = PReLU(BN(conv(sign(x + b)))) with a shortcut r, a mix
    m = a x + (1 - a) y with a learned a in [0, 1], and y' = SE(m) y, where x is pooled
    if the image is halved. Every second 3x3 layer is attention and returns BN(y' r) + r
    with r = PReLU(x); the others return BN(y') + r with r = x. Where a block doubles
    the channels, two 1x1 layers of the same input are concatenated.
    """

    options = {**DoublingFactory.options, **_BNextFactory.options}  # noqa: RUF012

    def block(self, x: tf.Tensor, filters: int, index: int) -> tf.Tensor:
        """A 3x3 layer and one or two of 1x1."""
        name = f"block_{index}"
        inputs = x.shape[-1]
        strides = self.strides(inputs, filters)
        kind = self.attention_block if index % 2 else self.feed_forward_block
        x = kind(x, strides, name)
        if filters == inputs:
            return self.feed_forward(x, x, 1, 1, f"{name}_1x1")
        return tf.keras.layers.Concatenate(name=f"{name}_1x1_concat")(
            [self.feed_forward(x, x, 1, 1, f"{name}_1x1_{half}") for half in (0, 1)]
        )

    def attention_block(self, x: tf.Tensor, strides: int, name: str) -> tf.Tensor:
        """Attention that mixes with its own input, not with the PReLU of its input."""
        part = f"{name}_attention"
        shortcut = self.prelu(x, f"{part}_shortcut_prelu")
        mixed = x
        if strides == 2:
            shortcut = self.pool(shortcut, f"{part}_shortcut_pool")
            mixed = self.pool(x, f"{part}_mix_pool") if self.squeeze_excite else x
        return self.attention(x, shortcut, mixed, strides, part)

    def feed_forward_block(self, x: tf.Tensor, strides: int, name: str) -> tf.Tensor:
        """Feed-forward part of a 3x3 convolution."""
        part = f"{name}_ffn"
        shortcut = self.pool(x, f"{part}_shortcut_pool") if strides == 2 else x
        return self.feed_forward(x, shortcut, 3, strides, part)


def _filters(width: int, repeats: tuple[int, int, int, int]) -> tuple[int, ...]:
    """Channels of the stem, the first block, and four stages of as many blocks."""
    stages = (
        channels
        for stage, blocks in enumerate(repeats)
        for channels in [4 * width * 2**stage] * blocks
    )
    return (width, 2 * width, *stages)


def _model(size: str, width: int, repeats: tuple[int, int, int, int]) -> ModelFunction:
    return model_function(
        BNextFactory,
        f"BNext{size}",
        f"BNext-{size}: {1 + sum(repeats)} blocks of {2 * width} to {32 * width} "
        "channels.",
        name=f"bnext_{size.lower()}",
        filters=_filters(width, repeats),
    )


BNext18 = model_function(
    BNextResidualFactory,
    "BNext18",
    "BNext-18: (2, 2, 2, 2) blocks of two binary convolutions each.",
    name="bnext18",
)
# The authors' README calls Large what their code calls super: its published operations
# fit this width, not the narrower one that the code calls large.
BNextTiny = _model("Tiny", 32, (2, 2, 6, 2))
BNextSmall = _model("Small", 48, (2, 2, 6, 2))
BNextMiddle = _model("Middle", 48, (4, 4, 8, 4))
BNextLarge = _model("Large", 64, (4, 4, 16, 4))

__test__ = {"BNext18": BNext18}
