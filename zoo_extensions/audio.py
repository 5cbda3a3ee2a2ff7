"""The fully connected network of paper 001 for spoken digits."""

from collections.abc import Sequence
from typing import Optional

import larq as lq
import tensorflow as tf
from zookeeper import Field, factory

from zoo_extensions.binary_factory import BinaryFactory
from zoo_extensions.model_function import model_function


@factory
class AudioMLPFactory(BinaryFactory):
    """A real-valued dense layer and three binary ones, each with batch normalization.

    Paper 001 defines only that it has 4 layers with batch normalization, the first of
    them not binarized, and that latent weights may be scaled and clipped (table 1). The
    number of features, the width, the sign as the activation, its gradient and the
    binary last layer are chosen here.
    Binary dense layers are written as 1x1 convolutions, because Larq Compute Engine has
    no binary dense operator.
    """

    options = {  # noqa: RUF012
        "units": "Outputs of every layer but the last.",
        "scaling": "Whether binary kernels are multiplied by the mean magnitude of the "
        "latent weights of each output.",
        "clipping": "Whether latent weights are clipped to [-clip_value, clip_value], "
        "outside of which their gradient is zero.",
    }
    argument_texts = {  # noqa: RUF012
        "input_shape": "`(features,)`, or a longer shape, which is flattened, or "
        "`None` for {default_input_shape}.",
        "include_top": "Whether to end in the third binary layer, whose batch "
        "normalization gives the logits. The output is a vector of `units` otherwise.",
    }
    # Images of one pixel have no border.
    withdrawn: Sequence[str] = ("pad_values",)
    references: Sequence[str] = (
        "Paper 001, section 4.2.",
        "[AudioMNIST](https://arxiv.org/abs/1807.03418)",
    )

    units: int = Field(1024)
    scaling: bool = Field(False)
    clipping: bool = Field(True)
    default_input_shape: Sequence[int] = Field((1024,))
    # With ones, Larq Compute Engine passes bits between the layers.
    pad_values: float = Field(1.0)

    @property
    def latent_quantizer(self):
        """Sign of latent kernels, scaled or not, whose gradient is clipped or not."""
        clip_value = self.clip_value if self.clipping else None
        if self.scaling:
            return lq.quantizers.MagnitudeAwareSign(clip_value)
        return lq.quantizers.SteSign(clip_value)

    @property
    def latent_constraint(self):
        """None without clipping."""
        return super().latent_constraint if self.clipping else None

    def check_input_shape(self, argument: str, shape: Sequence[Optional[int]]) -> None:
        """Raises a ValueError unless an input has a known number of features."""
        if not shape or any(size is None or size < 1 for size in shape):
            raise ValueError(
                f"{argument}: {tuple(shape)} must be (features,) or a longer shape, "
                "numbers of at least 1."
            )

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        self.require("units", self.units >= 1, "at least 1")
        self.require("pad_values", self.pad_values == 1, "1: there is no border to pad")

    def binary_dense(self, x: tf.Tensor, units: int, name: str) -> tf.Tensor:
        """Binary dense layer and batch normalization."""
        # The converter removes each pair of flattening and reshaping between layers.
        x = tf.keras.layers.Reshape((1, 1, x.shape[-1]), name=f"{name}_reshape")(x)
        x = self.binary_conv(x, units, 1, f"{name}_bindense")
        x = tf.keras.layers.Flatten(name=f"{name}_flatten")(x)
        return self.norm(x, f"{name}_bn")

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """The real-valued layer and two binary ones."""
        if len(x.shape) > 2:
            x = tf.keras.layers.Flatten(name="flatten")(x)
        x = tf.keras.layers.Dense(
            self.units,
            use_bias=False,
            kernel_initializer=self.float_initializer,
            name="stem_dense",
        )(x)
        x = self.norm(x, "stem_bn")
        x = self.binary_dense(x, self.units, "layer_1")
        return self.binary_dense(x, self.units, "layer_2")

    def top(self, x: tf.Tensor) -> tf.Tensor:
        """The last binary layer, whose batch normalization gives the logits."""
        return self.classify(self.binary_dense(x, self.num_classes, "top"))


AudioMLP = model_function(
    AudioMLPFactory,
    "AudioMLP",
    "A fully connected network with three binary layers for audio features.",
    name="audio_mlp",
    default_num_classes=10,
)

__test__ = {"AudioMLP": AudioMLP}
