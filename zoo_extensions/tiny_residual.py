"""A residual binary network for small images, the model of the quickstart."""

from collections.abc import Sequence
from typing import Any, Optional

import larq as lq
import tensorflow as tf
from larq_zoo.core import utils
from larq_zoo.core.model_factory import ModelFactory
from zookeeper import Field, factory

from zoo_extensions.initializers import BernoulliSign


@factory
class TinyResidualBNNFactory(ModelFactory):
    """Three stages of binary 3x3 convolutions, each with its own shortcut."""

    name: Optional[str] = "tiny_residual_bnn"
    # Larq-zoo's annotation excludes the Keras tensors of TensorFlow 2.15 and later.
    input_tensor: Any = Field(None)
    filters: Sequence[int] = Field((32, 64, 128))
    convolutions_per_stage: int = Field(2)
    latent_weights: bool = Field(True)
    classifier_activation: Optional[str] = Field("softmax")

    @property
    def input_quantizer(self):
        """Sign with a straight-through gradient inside [-1, 1]."""
        return lq.quantizers.SteSign()

    @property
    def kernel_quantizer(self):
        """Sign of a latent kernel, or nothing where the kernel is binary itself."""
        if self.latent_weights:
            return lq.quantizers.SteSign()
        return lq.quantizers.NoOp(precision=1)

    @property
    def kernel_constraint(self):
        """Keeps latent weights where their gradient is not zero."""
        return lq.constraints.WeightClip(1.0) if self.latent_weights else None

    @property
    def kernel_initializer(self):
        """Glorot's for latent weights, {-1, +1} otherwise."""
        return "glorot_normal" if self.latent_weights else BernoulliSign()

    def norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Batch normalization."""
        return tf.keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, name=f"{name}_norm"
        )(x)

    def shortcut(self, x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
        """Halves the image and changes the number of channels, where they differ."""
        if x.shape[-1] == filters:
            return x
        x = tf.keras.layers.AveragePooling2D(2, padding="same", name=f"{name}_pool")(x)
        x = tf.keras.layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_shortcut")(
            x
        )
        return self.norm(x, f"{name}_shortcut")

    def block(self, x: tf.Tensor, filters: int, name: str) -> tf.Tensor:
        """Binary convolution, batch normalization, shortcut.

        Padding with ones and not zeros keeps the convolution binary on the device.
        """
        residual = self.shortcut(x, filters, name)
        x = lq.layers.QuantConv2D(
            filters,
            3,
            strides=1 if residual is x else 2,
            padding="same",
            pad_values=1.0,
            use_bias=False,
            input_quantizer=self.input_quantizer,
            kernel_quantizer=self.kernel_quantizer,
            kernel_constraint=self.kernel_constraint,
            kernel_initializer=self.kernel_initializer,
            name=f"{name}_conv",
        )(x)
        x = self.norm(x, name)
        return tf.keras.layers.Add(name=f"{name}_add")([x, residual])

    def build(self) -> tf.keras.Model:
        """Returns the Keras model."""
        filters = self.filters[0]
        x = tf.keras.layers.Conv2D(
            filters, 3, strides=2, padding="same", use_bias=False, name="stem_conv"
        )(self.image_input)
        x = self.norm(x, "stem")
        for stage, filters in enumerate(self.filters, start=1):
            for index in range(1, self.convolutions_per_stage + 1):
                x = self.block(x, filters, f"stage{stage}_{index}")
        if self.include_top:
            x = tf.keras.layers.Activation("relu", name="top_relu")(x)
            x = tf.keras.layers.GlobalAveragePooling2D(name="top_pool")(x)
            x = tf.keras.layers.Dense(self.num_classes, name="top_dense")(x)
            if self.classifier_activation is not None:
                x = tf.keras.layers.Activation(
                    self.classifier_activation, name="top_activation"
                )(x)
        model = tf.keras.Model(self.image_input, x, name=self.name)
        if self.weights is not None:
            model.load_weights(self.weights)
        return model


def TinyResidualBNN(
    *,  # Keyword arguments only, as in larq-zoo.
    input_shape: Sequence[int | None] | None = None,
    input_tensor: utils.TensorType | None = None,
    weights: str | None = None,
    include_top: bool = True,
    num_classes: int = 10,
    latent_weights: bool = True,
    classifier_activation: str | None = "softmax",
) -> tf.keras.Model:
    """A residual binary network of seven 3x3 convolutions for small images.

    A real-valued stem and six binary convolutions of 32, 64 and 128 channels, each with
    batch normalization and a shortcut around it, as in Bi-Real Net. Every binary
    convolution becomes an `LceBconv2d` in Larq Compute Engine. It is the model of the
    quickstart and comes from no paper.

    Args:
        input_shape: `(height, width, channels)`. Defaults to `(28, 28, 1)`.
        input_tensor: Keras tensor to use as the input. Defaults to `None`.
        weights: Path of a file of weights. Defaults to `None`, random weights.
        include_top: Whether to end in pooling and a dense layer. Defaults to `True`.
        num_classes: Number of classes. Defaults to `10`.
        latent_weights: `True` trains real-valued kernels through their sign, as
            larq-zoo does; with `False` the kernels are {-1, +1} themselves, for Diode,
            the gradient filter and Bop. Defaults to `True`.
        classifier_activation: Activation of the last layer, `None` for logits. Defaults
            to `"softmax"`.

    Returns:
        A Keras model.

    Raises:
        ValueError: If `weights` is neither `None` nor an existing file.

    Example:
        >>> model = TinyResidualBNN(latent_weights=False)
        >>> model.output_shape, model.count_params()
        ((None, 10), 309418)
    """
    if weights == "imagenet":
        raise ValueError("No ImageNet weights exist for TinyResidualBNN.")
    arguments: dict[str, Any] = {
        "include_top": include_top,
        "weights": weights,
        "input_tensor": input_tensor,
        "input_shape": (28, 28, 1) if input_shape is None else tuple(input_shape),
        "num_classes": num_classes,
        "latent_weights": latent_weights,
        "classifier_activation": classifier_activation,
    }
    if input_tensor is not None and input_shape is None:
        del arguments["input_shape"]
    return TinyResidualBNNFactory(**arguments).build()
