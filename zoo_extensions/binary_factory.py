"""The factory from which all networks derive: binary layers, top, weights, checks."""

import os
from collections.abc import Sequence
from typing import Any, Optional

import larq as lq
import numpy as np
import tensorflow as tf
from larq_zoo.core import utils
from larq_zoo.core.model_factory import ModelFactory
from zookeeper import Field

from zoo_extensions.initializers import BernoulliSign

PRECISIONS = ("binary", "binary_weights", "binary_activations", "float")
_PRECISION_NAMES = "'binary', 'binary_weights', 'binary_activations' or 'float'"


class InputShapeError(ValueError):
    """A network does not take inputs of this shape.

    Args:
        message: What is wrong.
        least: The least height and width, `None` if the inputs are no images at all.
    """

    def __init__(self, message: str, least: Optional[int] = None):
        super().__init__(message)
        self.least = least


def numbers_in_words(count: int) -> str:
    """Returns how many numbers an argument has.

    Example:
        >>> numbers_in_words(1), numbers_in_words(4)
        ('1 number', '4 numbers')
    """
    return f"{count} number{'' if count == 1 else 's'}"


class BinaryFactory(ModelFactory):
    """Everything of a network but its body.

    A family overrides `body`, and whatever else its paper defines differently. Every
    `Field` can be set through zookeeper.
    """

    # Arguments of the model's function besides the common ones, and common arguments
    # with another documentation, by name; then common arguments that it does not take.
    options: dict[str, str] = {}  # noqa: RUF012 (zookeeper wants no ClassVar)
    argument_texts: dict[str, str] = {}  # noqa: RUF012
    withdrawn: Sequence[str] = ()
    references: Sequence[str] = ()
    # Arguments of the example in the documentation of each function.
    example: str = "latent_weights=False, classifier_activation=None"

    name: Optional[str] = Field(None)
    default_input_shape: Sequence[int] = Field((224, 224, 3))
    default_num_classes: int = Field(1000)
    # Larq-zoo's annotation refuses other shapes in words of zookeeper.
    input_shape: Optional[Sequence[Optional[int]]] = Field(None)
    # Larq-zoo's annotation excludes the Keras tensors of TensorFlow 2.15 and later.
    input_tensor: Any = Field(None)
    latent_weights: bool = Field(True)
    precision: str = Field("binary")
    # What stands in the place of the sign where activations are real, and its name in
    # the documentation of `precision`. Batch normalization, ReLU and convolution is the
    # order of the 32-bit networks that paper 002 compares with (section 4.2).
    real_activation: Optional[str] = "relu"
    real_activation_text: str = "a ReLU"
    classifier_activation: Optional[str] = Field("softmax")
    pad_values: float = Field(0.0)
    clip_value: float = Field(1.0)
    batch_norm_momentum: float = Field(0.9)
    batch_norm_epsilon: float = Field(1e-5)
    # Larq-zoo's factory of the same network, if it publishes weights.
    larq_zoo_factory: Any = Field(None)

    @Field
    def num_classes(self) -> int:
        """Number of classes: the data set's if the factory is part of an experiment."""
        # A factory that is not configured has no attribute `dataset`.
        dataset = getattr(self, "dataset", None)
        return self.default_num_classes if dataset is None else dataset.num_classes

    @property
    def has_binary_kernels(self) -> bool:
        """Whether kernels are binary, latent or not."""
        return self.precision in ("binary", "binary_weights")

    @property
    def has_binary_activations(self) -> bool:
        """Whether the inputs of the convolutions are binary."""
        return self.precision in ("binary", "binary_activations")

    @property
    def input_quantizer(self):
        """Sign with a straight-through gradient inside the clip value."""
        return lq.quantizers.SteSign(self.clip_value)

    @property
    def latent_quantizer(self):
        """Quantizer of latent kernels."""
        return lq.quantizers.SteSign(self.clip_value)

    @property
    def latent_constraint(self):
        """Constraint of latent kernels: clipping where their gradient becomes zero."""
        return lq.constraints.WeightClip(self.clip_value)

    @property
    def latent_initializer(self):
        """Initializer of latent kernels."""
        return self.float_initializer

    @property
    def float_initializer(self):
        """Initializer of real-valued kernels."""
        return "glorot_normal"

    @property
    def kernel_quantizer(self):
        """Quantizer of kernels: a sign, or none if they are real or in {-1, +1}."""
        if not self.has_binary_kernels:
            return None
        if self.latent_weights:
            return self.latent_quantizer
        return lq.quantizers.NoOp(precision=1)

    @property
    def kernel_constraint(self):
        """Constraint of latent kernels: none if kernels are real or in {-1, +1}."""
        latent = self.has_binary_kernels and self.latent_weights
        return self.latent_constraint if latent else None

    @property
    def kernel_initializer(self):
        """Initializer of kernels; real ones under binary inputs start as latent ones.

        So does the first of two steps, whose kernels are the latent ones of the second.
        """
        if self.precision == "float":
            return self.float_initializer
        return self.latent_initializer if self.latent_weights else BernoulliSign()

    @property
    def downsampling(self) -> int:
        """Downsampling from the input to the last feature map."""
        raise NotImplementedError

    @property
    def image_input(self) -> tf.Tensor:
        """The input, whose size may be unknown with a top too, unlike in larq-zoo."""
        if not hasattr(self, "_image_input"):
            if self.input_tensor is not None:
                self.check_input_shape("input_tensor", self.input_tensor.shape[1:])
            shape = self.input_shape
            if shape is None:
                shape = tuple(self.default_input_shape)
            self.check_input_shape("input_shape", shape)
            self._image_input = utils.get_input_layer(shape, self.input_tensor)
        return self._image_input

    def check_input_shape(self, argument: str, shape: Sequence[Optional[int]]) -> None:
        """Raises a ValueError unless an input is an image that is large enough."""
        shape, least = tuple(shape), self.downsampling
        if len(shape) != 3:
            raise InputShapeError(
                f"{argument}: {shape} must be (height, width, channels), since "
                f"{self.name} takes images; audio_mlp takes inputs of any shape."
            )
        *height_and_width, channels = shape
        if (
            channels is None
            or channels < 1
            or any(size is not None and size < least for size in height_and_width)
        ):
            raise InputShapeError(
                f"{argument}: {shape} must be (height, width, channels) with a "
                f"height and width of at least {least} or None, and at least 1 "
                "channel.",
                least,
            )

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        self.require("num_classes", self.num_classes >= 1, "at least 1")
        self.require("pad_values", self.pad_values in (-1, 0, 1), "-1, 0 or 1")
        self.require("clip_value", self.clip_value > 0, "above 0")
        momentum = self.batch_norm_momentum
        self.require("batch_norm_momentum", 0 <= momentum < 1, "in [0, 1)")
        self.require("batch_norm_epsilon", self.batch_norm_epsilon > 0, "above 0")
        self.require("precision", self.precision in PRECISIONS, _PRECISION_NAMES)
        self.require(
            "latent_weights",
            self.latent_weights or self.has_binary_kernels,
            f"True for precision={self.precision!r}, whose kernels are real",
        )
        if self.weights == "imagenet":
            if self.larq_zoo_factory is None:
                raise ValueError(
                    f"No ImageNet weights are published for {self.name} as it is "
                    "defined here: weights must be None or the path of a file."
                )
            valid = "for weights='imagenet'"
            channels = self.image_input.shape[-1]
            self.require("input_shape", channels == 3, f"of 3 channels {valid}")
            classes = self.num_classes == 1000 or not self.include_top
            self.require("num_classes", classes, f"1000 {valid}")
            self.require("precision", self.precision == "binary", f"'binary' {valid}")
        elif self.weights is not None and not os.path.isfile(self.weights):
            raise ValueError(
                f"weights={self.weights!r} must be None or the path of a file."
            )

    def require(self, argument: str, holds: bool, valid: str) -> None:
        """Raises a ValueError with the argument's name and value unless it holds."""
        if not holds:
            value = getattr(self, argument)
            raise ValueError(f"{argument}={value!r} must be {valid}.")

    def norm(self, x: tf.Tensor, name: str, **kwargs: Any) -> tf.Tensor:
        """Batch normalization."""
        return tf.keras.layers.BatchNormalization(
            momentum=self.batch_norm_momentum,
            epsilon=self.batch_norm_epsilon,
            name=name,
            **kwargs,
        )(x)

    def activate(self, x: tf.Tensor, kind: Optional[str], name: str) -> tf.Tensor:
        """Activation, or the input itself for `None`."""
        if kind is None:
            return x
        return tf.keras.layers.Activation(kind, name=name)(x)

    def conv(
        self, x: tf.Tensor, filters: int, kernel_size: int, name: str, **kwargs: Any
    ) -> tf.Tensor:
        """Real-valued convolution without bias."""
        return tf.keras.layers.Conv2D(
            filters,
            kernel_size,
            padding="same",
            use_bias=False,
            kernel_initializer=self.float_initializer,
            name=name,
            **kwargs,
        )(x)

    def binary_conv(
        self, x: tf.Tensor, filters: int, kernel_size: int, name: str, strides: int = 1
    ) -> tf.Tensor:
        """Binary convolution, or a real one by `precision`."""
        binary = self.has_binary_activations
        if not binary:
            x = self.activate(x, self.real_activation, f"{name}_{self.real_activation}")
        return lq.layers.QuantConv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            pad_values=float(self.pad_values) if binary else 0.0,
            use_bias=False,
            input_quantizer=self.input_quantizer if binary else None,
            kernel_quantizer=self.kernel_quantizer,
            kernel_constraint=self.kernel_constraint,
            kernel_initializer=self.kernel_initializer,
            name=name,
        )(x)

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """Everything between the input and the top."""
        raise NotImplementedError

    def top(self, x: tf.Tensor) -> tf.Tensor:
        """Global average pooling, a dense layer, the classifier's activation."""
        # Larq-zoo's average pool is faster on devices than Keras's global one.
        x = utils.global_pool(x, name="top")
        x = tf.keras.layers.Dense(
            self.num_classes,
            kernel_initializer=self.float_initializer,
            name="top_dense",
        )(x)
        return self.classify(x)

    def classify(self, x: tf.Tensor) -> tf.Tensor:
        """The classifier's activation, if there is one."""
        if self.classifier_activation is None:
            return x
        # Softmax in 16 bits loses small probabilities.
        return tf.keras.layers.Activation(
            self.classifier_activation, dtype="float32", name="top_activation"
        )(x)

    def _published_model(self) -> tf.keras.Model:
        """Returns larq-zoo's model with its weights, which it downloads once.

        Raises:
            OSError: If they cannot be downloaded.
        """
        factory = self.larq_zoo_factory(
            include_top=self.include_top, weights="imagenet", num_classes=1000
        )
        try:
            return factory.build()
        except Exception as error:  # Downloads fail in many ways.
            raise OSError(
                f"larq-zoo could not fetch the ImageNet weights of {self.name} from "
                "https://github.com/larq/zoo/releases into ~/.keras/larq/models: "
                f"{' '.join(str(error).split())[:300]}. Connect to the network, copy "
                "that folder from a machine that has it, or give weights=None or the "
                "path of a file."
            ) from error

    def load(self, model: tf.keras.Model) -> None:
        """Loads the weights that the argument `weights` names."""
        if self.weights is None:
            return
        if self.weights == "imagenet":
            source = self._published_model()
            layers = [layer for layer in model.layers if layer.weights]
            found = self.larq_zoo_weights(source, layers)
            for layer, weights in zip(layers, found, strict=True):
                if hasattr(layer, "kernel_quantizer") and not self.latent_weights:
                    weights = [np.where(weights[0] < 0, -1, 1)]
                layer.set_weights(weights)
            return
        try:
            model.load_weights(self.weights)
        except (ValueError, KeyError, OSError, tf.errors.OpError) as error:
            raise ValueError(
                f"weights={self.weights!r} must be a file of weights of {self.name} "
                f"with these arguments: {error}"
            ) from error
        if self.latent_weights:
            return
        for layer in model.layers:
            for kind in ("kernel", "embeddings"):
                if not hasattr(layer, f"{kind}_quantizer"):
                    continue
                if tf.reduce_any(tf.abs(getattr(layer, kind)) != 1):
                    raise ValueError(
                        f"latent_weights=False needs {kind} in {{-1, +1}}, but "
                        f"{layer.name} of weights={self.weights!r} holds other values."
                    )

    def larq_zoo_weights(
        self, source: tf.keras.Model, layers: list[tf.keras.layers.Layer]
    ) -> list[list[np.ndarray]]:
        """Returns the weights of larq-zoo's network for each of our layers."""
        return [layer.get_weights() for layer in source.layers if layer.weights]

    def build(self) -> tf.keras.Model:
        """Returns the Keras model."""
        self.check()
        x = self.body(self.image_input)
        if self.include_top:
            x = self.top(x)
        inputs = self.image_input
        if self.input_tensor is not None:
            # A layer before the network, such as a normalization, may make it.
            inputs = tf.keras.utils.get_source_inputs(inputs)
        model = tf.keras.Model(inputs, x, name=self.name)
        self.load(model)
        return model
