"""Bi-Real Net: a real-valued shortcut around every binary convolution."""

from collections.abc import Sequence
from typing import Any, Optional

import larq as lq
import tensorflow as tf
from larq_zoo.literature import birealnet as larq_zoo_birealnet
from zookeeper import Field, factory

from zoo_extensions.initializers import BernoulliSign
from zoo_extensions.layers import HardTanh, PadShortcut
from zoo_extensions.model_function import ModelFunction, model_function
from zoo_extensions.residual_factory import ResidualFactory


@factory
class BiRealNetFactory(ResidualFactory):
    """Stages of binary 3x3 convolutions, each with a shortcut around it.

    A block is sign, a binary 3x3 convolution and batch normalization. The sign of
    activations has the gradient 2 - 2|x| inside [-1, 1]; latent kernels are scaled by
    the mean magnitude of each output channel. Paper 001 (section 4) trains a
    Bi-RealNet-20 on CIFAR-10 without defining it: here it is three stages of six blocks
    whose shortcuts have no parameters.
    """

    options = {  # noqa: RUF012
        **ResidualFactory.options,
        "shortcut": 'Where the size changes, `"conv"`: average pooling, 1x1 '
        'convolution and batch normalization, or `"pad"`: every other pixel and zeros '
        "as the new channels.",
        "activation": 'What follows each block and the stem, `None` or `"hardtanh"`.',
        "magnitude_independent": "Whether latent kernels train without clipping and "
        "scaling, so that only their signs matter, and start at zero with random signs "
        "(unless `zero_start=False`): setting (c) of Figure 4 in paper 001.",
        "zero_start": "Whether latent kernels start at zero with random signs: `None` "
        "for the value of `magnitude_independent`, or `False` for an ordinary start, "
        "which with `magnitude_independent=True` is setting (b) of that figure.",
    }
    references: Sequence[str] = (
        "[Bi-Real Net](https://arxiv.org/abs/1808.00278)",
        "Paper 001, sections 3 and 4.",
    )
    argument_texts = {  # noqa: RUF012
        "clip_value": "Latent weights are clipped to [-clip_value, clip_value].",
        "weights": "Path of a file of weights, `None` for random ones, or for "
        'BiRealNet18 with latent weights `"imagenet"`: larq-zoo downloads its own '
        "(57.47 % top-1).",
    }
    stem_activation: Optional[str] = None

    stem: str = Field("conv7x7")
    shortcut: str = Field("conv")
    activation: Optional[str] = Field(None)
    magnitude_independent: bool = Field(False)
    zero_start: Optional[bool] = Field(None)

    input_quantizer = "approx_sign"

    @property
    def latent_quantizer(self):
        """Scaled sign, or the plain one without clipping."""
        if self.magnitude_independent:
            return lq.quantizers.SteSign(clip_value=None)
        return lq.quantizers.MagnitudeAwareSign(self.clip_value)

    @property
    def latent_constraint(self):
        """None without clipping."""
        return None if self.magnitude_independent else super().latent_constraint

    @property
    def latent_initializer(self):
        """Zero with a random sign, for `zero_start`."""
        if self.starts_at_zero:
            return BernoulliSign(magnitude=1e-30)
        return super().latent_initializer

    @property
    def starts_at_zero(self) -> bool:
        """Whether latent kernels start at zero."""
        if self.zero_start is None:
            return self.magnitude_independent
        return self.zero_start

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        self.require(
            "zero_start",
            not self.zero_start or self.magnitude_independent,
            "None or False for magnitude_independent=False: the scale of a kernel at "
            "zero is zero",
        )
        self.require(
            "magnitude_independent",
            not self.magnitude_independent or self.has_binary_kernels,
            f"False for precision={self.precision!r}: real kernels have a magnitude",
        )
        self.require("shortcut", self.shortcut in ("conv", "pad"), "'conv' or 'pad'")
        known = self.activation in (None, "hardtanh")
        self.require("activation", known, "None or 'hardtanh'")
        if self.weights == "imagenet":
            # Their kernels have scales, which kernels in {-1, +1} cannot hold.
            latent = self.latent_weights and not self.magnitude_independent
            valid = "True, and magnitude_independent=False, for weights='imagenet'"
            self.require("latent_weights", latent, valid)
        if self.shortcut == "pad":
            grows = list(self.filters) == sorted(self.filters)
            self.require("filters", grows, "in ascending order for shortcut='pad'")

    def shortcut_block(self, x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
        """The shortcut where the size changes."""
        if self.shortcut == "conv":
            return super().shortcut_block(x, filters, name)
        return PadShortcut(filters, name=f"{name}_shortcut")(x)

    def stem_block(self, x: tf.Tensor) -> tf.Tensor:
        """The real-valued start of the network."""
        return self.after_add(super().stem_block(x), "stem")

    def after_add(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """The activation, if there is one."""
        if self.activation is None:
            return x
        return HardTanh(name=f"{name}_hardtanh")(x)


def _model(number: int, blocks: tuple[int, ...], **fields: Any) -> ModelFunction:
    return model_function(
        BiRealNetFactory,
        f"BiRealNet{number}",
        f"Bi-RealNet-{number}: {blocks} blocks of one binary convolution each.",
        name=f"birealnet{number}",
        blocks=blocks,
        **fields,
    )


_IMAGENET: dict[str, Any] = {"batch_norm_momentum": 0.8, "batch_norm_epsilon": 1e-3}
_CIFAR: dict[str, Any] = {
    "filters": (16, 32, 64),
    "stem": "cifar",
    "shortcut": "pad",
    "default_num_classes": 10,
    "default_input_shape": (32, 32, 3),
}

BiRealNet18 = _model(
    18, (4, 4, 4, 4), **_IMAGENET, larq_zoo_factory=larq_zoo_birealnet.BiRealNetFactory
)
BiRealNet34 = _model(34, (6, 8, 12, 6), **_IMAGENET)
BiRealNet20 = _model(20, (6, 6, 6), **_CIFAR)

__test__ = {"BiRealNet20": BiRealNet20}
