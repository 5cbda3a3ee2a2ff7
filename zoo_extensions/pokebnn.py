"""PokeBNN: a binary ResNet-50 whose every convolution has shortcuts and a gate."""

from collections.abc import Sequence
from typing import Optional

import tensorflow as tf
from zookeeper import Field, factory

from zoo_extensions.binary_factory import BinaryFactory, numbers_in_words
from zoo_extensions.layers import DPReLU, HardSigmoid, ReshapeAdd
from zoo_extensions.model_function import ModelFunction, model_function

# Reduction ratio of squeeze-and-excitation.
_SQUEEZE = 8


@factory
class PokeBNNFactory(BinaryFactory):
    """The bottlenecks of ResNet-50, each of three binary PokeConvs: 1x1, 3x3, 1x1.

    A PokeConv is y = BN(SE(x) DPReLU(BN(conv(sign(x))) + x + r)): x is its own input
    and r, in the third of a block, the input of the block. Both shortcuts have no
    parameters: `ReshapeAdd` averages neighbouring channels, appends zeros (x) or
    repeats them (r), and pools where the image is halved. The gate SE is computed from
    x, by a real 1x1 convolution to an eighth of the channels, ReLU, another, and a
    piecewise linear sigmoid. The first normalization of the third PokeConv starts at
    scale 0. PokeInit, the stem, uses no pixel twice: a 4x4 convolution of stride 4 and
    a grouped 3x3 one, each with normalization and DPReLU.

    Widths follow the authors' code, of which this is a new description: a width m has
    int(64 m), int(128 m), int(256 m) and int(512 m) channels, while the stem stays.
    Their stem and dense layer compute in 8 bits and SE in 4; here all three are real,
    in the file too unless `int8` is asked for. Kernels are signs without a scale, which
    the normalization after each convolution would undo. Pools leave out the padding at
    the border, which theirs count as zeros. At width 1.4 the channels of a shortcut are
    no multiple of those before; there the repeated channels are cut, where the
    published code would stop.
    """

    options = {  # noqa: RUF012
        "stem": '`"poke"`, the stem of the paper, or `"cifar"`, whose first '
        "convolution is 3x3 and keeps the size of small images.",
        "blocks": "Number of blocks of each stage.",
        "filters": "Channels of the first two convolutions of a block, for each stage; "
        "the third has four times as many.",
    }
    argument_texts = {  # noqa: RUF012
        "clip_value": "The gradient of a sign is zero outside [-clip_value, "
        "clip_value], the bound B of the paper, section 4.3; latent weights are "
        "clipped to that interval.",
    }
    references: Sequence[str] = (
        "[PokeBNN](https://arxiv.org/abs/2112.00133), section 3 for ACE, section 4 for "
        "PokeConv, PokeInit and the bound of 3",
        "[The authors' code](https://github.com/google/aqt), "
        "aqt/jax_legacy/jax/imagenet/pokebnn.py",
    )
    real_activation: Optional[str] = None
    real_activation_text: str = "the identity (DPReLU is the activation)"

    clip_value: float = Field(3.0)
    stem: str = Field("poke")
    stem_filters: int = Field(64)
    stem_groups: int = Field(32)
    blocks: Sequence[int] = Field((3, 4, 6, 3))
    filters: Sequence[int] = Field((64, 128, 256, 512))

    @property
    def downsampling(self) -> int:
        """Downsampling from the input to the last feature map."""
        return (1 if self.stem == "cifar" else 4) * 2 ** (len(self.filters) - 1)

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        self.require("stem", self.stem in ("poke", "cifar"), "'poke' or 'cifar'")
        self.require(
            "filters",
            min(self.filters, default=0) >= _SQUEEZE,
            f"numbers of at least {_SQUEEZE}, the ratio of squeeze-and-excitation",
        )
        self.require(
            "blocks",
            len(self.blocks) == len(self.filters) and min(self.blocks) >= 1,
            f"{numbers_in_words(len(self.filters))} of at least 1, one for each of "
            f"filters={tuple(self.filters)}",
        )
        groups = self.stem_groups
        self.require(
            "stem_groups",
            groups >= 1 and self.stem_filters % groups == 0,
            f"a divisor of stem_filters={self.stem_filters}",
        )

    def stem_block(self, x: tf.Tensor) -> tf.Tensor:
        """PokeInit: two real convolutions."""
        size, strides = (3, 1) if self.stem == "cifar" else (4, 4)
        groups = self.stem_groups
        x = self.conv(x, groups, size, "stem_s0_conv", strides=strides)
        x = self.norm(x, "stem_s0_bn")
        x = DPReLU(name="stem_s0_dprelu")(x)
        x = self.conv(x, self.stem_filters, 3, "stem_s1_conv", groups=groups)
        x = self.norm(x, "stem_s1_bn")
        return DPReLU(name="stem_s1_dprelu")(x)

    def gate(self, x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
        """Squeeze-and-excitation: a factor for each channel, from the means of x."""
        x = tf.keras.layers.GlobalAveragePooling2D(
            keepdims=True, name=f"{name}_squeeze_pool"
        )(x)
        for part, channels, activation in (
            ("squeeze", x.shape[-1] // _SQUEEZE, "relu"),
            ("excite", filters, None),
        ):
            x = tf.keras.layers.Conv2D(
                channels,
                1,
                activation=activation,
                kernel_initializer=self.float_initializer,
                name=f"{name}_{part}_conv",
            )(x)
        return HardSigmoid(name=f"{name}_excite_sigmoid")(x)

    def poke_conv(
        self,
        x: tf.Tensor,
        filters: int,
        kernel_size: int,
        name: str,
        strides: int = 1,
        block_input: Optional[tf.Tensor] = None,
        block_strides: int = 1,
    ) -> tf.Tensor:
        """A binary convolution with its shortcuts, activation and gate."""
        last = block_input is not None
        y = self.binary_conv(x, filters, kernel_size, f"{name}_binconv", strides)
        gamma = "zeros" if last else "ones"
        y = self.norm(y, f"{name}_bn1", gamma_initializer=gamma)
        y = ReshapeAdd("zeros", strides, name=f"{name}_add")([y, x])
        if last:
            add = ReshapeAdd("repeat", block_strides, name=f"{name}_block_add")
            y = add([y, block_input])
        y = DPReLU(name=f"{name}_dprelu")(y)
        gate = self.gate(x, filters, name)
        y = tf.keras.layers.Multiply(name=f"{name}_multiply")([y, gate])
        return self.norm(y, f"{name}_bn2")

    def block(self, x: tf.Tensor, filters: int, strides: int, name: str) -> tf.Tensor:
        """A bottleneck of three PokeConvs; the second halves the image."""
        y = self.poke_conv(x, filters, 1, f"{name}_conv1")
        y = self.poke_conv(y, filters, 3, f"{name}_conv2", strides)
        return self.poke_conv(
            y,
            4 * filters,
            1,
            f"{name}_conv3",
            block_input=x,
            block_strides=strides,
        )

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """PokeInit and all blocks."""
        x = self.stem_block(x)
        for stage, (blocks, filters) in enumerate(zip(self.blocks, self.filters)):
            for block in range(blocks):
                strides = 2 if stage > 0 and block == 0 else 1
                x = self.block(x, filters, strides, f"stage_{stage}_block_{block}")
        return x


def _model(percent: int) -> ModelFunction:
    width = f"{percent / 100:g}"
    return model_function(
        PokeBNNFactory,
        f"PokeBNN{percent:03d}",
        f"PokeBNN-{width}x: 16 blocks of three convolutions, of width {width}.",
        name=f"pokebnn_{percent:03d}",
        # In integers: 1.4 * 64 is no number of a computer.
        filters=tuple(channels * percent // 100 for channels in (64, 128, 256, 512)),
    )


PokeBNN050 = _model(50)
PokeBNN075 = _model(75)
PokeBNN100 = _model(100)
PokeBNN125 = _model(125)
PokeBNN140 = _model(140)
PokeBNN200 = _model(200)

__test__ = {"PokeBNN100": PokeBNN100}
