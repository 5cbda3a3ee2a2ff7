"""A residual binary network for small images, the model of the quickstart."""

from collections.abc import Sequence

import tensorflow as tf
from zookeeper import Field, factory

from zoo_extensions.binary_factory import BinaryFactory
from zoo_extensions.model_function import model_function


@factory
class TinyResidualBNNFactory(BinaryFactory):
    """Three stages of binary 3x3 convolutions, each with its own shortcut.

    A real-valued stem and binary convolutions of 32, 64 and 128 channels, each with
    batch normalization and a shortcut around it, as in Bi-Real Net. Padding with ones
    lets Larq Compute Engine fuse more of it. It comes from no paper.
    """

    references: Sequence[str] = ("[Bi-Real Net](https://arxiv.org/abs/1808.00278)",)

    options = {  # noqa: RUF012
        "filters": "Channels of each stage; the stem has those of the first.",
        "convolutions_per_stage": "Binary convolutions of each stage.",
    }

    filters: Sequence[int] = Field((32, 64, 128))
    convolutions_per_stage: int = Field(2)
    default_input_shape: Sequence[int] = Field((28, 28, 1))
    pad_values: float = Field(1.0)

    @property
    def float_initializer(self):
        """Keras's default initializer."""
        return "glorot_uniform"

    @property
    def latent_initializer(self):
        """Larq-zoo's initializer of latent kernels."""
        return "glorot_normal"

    @property
    def downsampling(self) -> int:
        """Downsampling from the input to the last feature map."""
        return 2 ** len(self.filters)

    def shortcut(self, x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
        """Halves the image and changes the number of channels, where they differ."""
        if x.shape[-1] == filters:
            return x
        x = tf.keras.layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
        x = self.conv(x, filters, 1, f"{name}_shortcut")
        return self.norm(x, f"{name}_shortcut_norm")

    def block(self, x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
        """Binary convolution, batch normalization, shortcut."""
        residual = self.shortcut(x, filters, name)
        strides = 1 if residual is x else 2
        x = self.binary_conv(x, filters, 3, f"{name}_conv", strides)
        x = self.norm(x, f"{name}_norm")
        return tf.keras.layers.Add(name=f"{name}_add")([x, residual])

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """Stem and stages."""
        x = self.conv(x, self.filters[0], 3, "stem_conv", strides=2)
        x = self.norm(x, "stem_norm")
        for stage, filters in enumerate(self.filters, start=1):
            for index in range(1, self.convolutions_per_stage + 1):
                x = self.block(x, filters, f"stage{stage}_{index}")
        return x

    def top(self, x: tf.Tensor) -> tf.Tensor:
        """Activation, global average pooling and dense layer, all Keras's own."""
        x = self.activate(x, "relu", "top_relu")
        x = tf.keras.layers.GlobalAveragePooling2D(name="top_pool")(x)
        x = tf.keras.layers.Dense(self.num_classes, name="top_dense")(x)
        return self.classify(x)


TinyResidualBNN = model_function(
    TinyResidualBNNFactory,
    "TinyResidualBNN",
    "A residual binary network of seven 3x3 convolutions for small images.",
    name="tiny_residual_bnn",
    default_num_classes=10,
)

__test__ = {"TinyResidualBNN": TinyResidualBNN}
