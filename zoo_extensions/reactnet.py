"""ReActNet: signs and PReLUs with learned thresholds and shifts for each channel."""

from collections.abc import Sequence
from typing import Any, Optional

import larq as lq
import tensorflow as tf
from zookeeper import Field, factory

from zoo_extensions.binary_factory import BinaryFactory
from zoo_extensions.doubling_factory import DoublingFactory
from zoo_extensions.layers import RPReLU, RSign, Shift
from zoo_extensions.model_function import ModelFunction, model_function
from zoo_extensions.residual_factory import ResidualFactory


class _ReActFactory(BinaryFactory):
    """The common part of both kinds of ReActNet."""

    references: Sequence[str] = (
        "[ReActNet](https://arxiv.org/abs/2003.03488)",
        "Paper 001, Table 3, and paper 003, Table 1, train ReActNet-A.",
    )
    argument_texts = {  # noqa: RUF012
        "clip_value": "Latent weights are clipped to [-clip_value, clip_value]."
    }
    # An RPReLU follows each shortcut; another activation would undo its slope.
    real_activation: Optional[str] = None
    real_activation_text: str = "its shift alone (RPReLU is the activation)"

    def rsign(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Sign with learned thresholds, or these alone where activations are real."""
        return (RSign if self.has_binary_activations else Shift)(name=name)(x)

    @property
    def input_quantizer(self):
        """No operation: declares that the inputs are binary, which RSign made them."""
        return lq.quantizers.NoOp(precision=1)

    @property
    def latent_quantizer(self):
        """Sign, scaled by the mean magnitude of each output channel."""
        return lq.quantizers.MagnitudeAwareSign(self.clip_value)

    @property
    def latent_initializer(self):
        """Small values of both signs."""
        return tf.keras.initializers.RandomUniform(-1e-3, 1e-3)


@factory
class ReActNetFactory(_ReActFactory, DoublingFactory):
    """Blocks of a binary 3x3 and a binary 1x1 convolution, each with a shortcut.

    Every binary convolution has an RSign before it, and an RPReLU after its shortcut.
    Where a block doubles the channels, two 1x1 convolutions of the same input are
    concatenated. ReActNet-B and C make these real-valued, with 4 groups and without: a
    reconstruction from their published numbers of operations, for the authors published
    no code of them.
    """

    options = DoublingFactory.options

    # Groups of the real-valued 1x1 convolutions that double the channels.
    real_groups: Optional[int] = Field(None)

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        pairs = list(zip(self.filters, self.filters[1:]))
        groups = self.real_groups
        if groups is not None:
            self.require(
                "real_groups",
                groups >= 1 and all(a % groups == 0 for a, b in pairs if a != b),
                f"None or a divisor of the channels filters={tuple(self.filters)}",
            )

    def pointwise(
        self, signs: tf.Tensor, x: tf.Tensor, real: bool, name: str
    ) -> tf.Tensor:
        """1x1 convolution, batch normalization, shortcut."""
        filters = x.shape[-1]
        if real:
            y = self.conv(x, filters, 1, f"{name}_conv", groups=self.real_groups)
        else:
            y = self.binary_conv(signs, filters, 1, f"{name}_binconv")
        y = self.norm(y, f"{name}_bn")
        return tf.keras.layers.Add(name=f"{name}_add")([y, x])

    def block(self, x: tf.Tensor, filters: int, index: int) -> tf.Tensor:
        """A 3x3 convolution and one or two of 1x1."""
        name = f"block_{index}"
        inputs = x.shape[-1]
        strides = self.strides(inputs, filters)
        y = self.rsign(x, f"{name}_3x3_rsign")
        y = self.binary_conv(y, inputs, 3, f"{name}_3x3_binconv", strides)
        y = self.norm(y, f"{name}_3x3_bn")
        if strides == 2:
            x = tf.keras.layers.AveragePooling2D(
                2, padding="same", name=f"{name}_shortcut_pool"
            )(x)
        x = tf.keras.layers.Add(name=f"{name}_3x3_add")([y, x])
        x = RPReLU(name=f"{name}_3x3_rprelu")(x)
        real = self.real_groups is not None and filters != inputs
        y = x if real else self.rsign(x, f"{name}_1x1_rsign")
        if filters == inputs:
            x = self.pointwise(y, x, real, f"{name}_1x1")
        else:
            x = tf.keras.layers.Concatenate(name=f"{name}_1x1_concat")(
                [self.pointwise(y, x, real, f"{name}_1x1_{half}") for half in (0, 1)]
            )
        return RPReLU(name=f"{name}_1x1_rprelu")(x)


@factory
class ReActNetBiRealFactory(_ReActFactory, ResidualFactory):
    """The stages of Bi-Real Net with RSign before and RPReLU after each block.

    A block is RSign, a binary 3x3 convolution and batch normalization with a shortcut
    around them, then RPReLU.
    """

    options = ResidualFactory.options
    stem_activation: Optional[str] = None
    stem: str = Field("conv7x7")

    def before_conv(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Sign with learned thresholds."""
        return self.rsign(x, f"{name}_rsign")

    def after_add(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """PReLU with learned shifts."""
        return RPReLU(name=f"{name}_rprelu")(x)


def _model(variant: str, text: str, **fields: Any) -> ModelFunction:
    return model_function(
        ReActNetFactory,
        f"ReActNet{variant}",
        f"ReActNet-{variant}: {text}",
        name=f"reactnet_{variant.lower()}",
        **fields,
    )


def _bireal_model(number: int, blocks: tuple[int, ...]) -> ModelFunction:
    return model_function(
        ReActNetBiRealFactory,
        f"ReActNetBiReal{number}",
        f"ReActNet on Bi-RealNet-{number}: {blocks} blocks of one convolution each.",
        name=f"reactnet_bireal{number}",
        blocks=blocks,
    )


ReActNetA = _model("A", "13 blocks, all binary.")
ReActNetB = _model("B", "13 blocks, five with real convolutions.", real_groups=4)
ReActNetC = _model("C", "13 blocks, five with real convolutions.", real_groups=1)
ReActNetBiReal18 = _bireal_model(18, (4, 4, 4, 4))
ReActNetBiReal34 = _bireal_model(34, (6, 8, 12, 6))

__test__ = {"ReActNetBiReal18": ReActNetBiReal18}
