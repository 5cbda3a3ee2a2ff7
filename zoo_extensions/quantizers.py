"""The temperature-annealed sign of BNext, its schedule, and the sign at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import larq as lq
import tensorflow as tf

from zoo_extensions.registration import register


def temperature_sign(
    x: tf.Tensor, temperature: tf.Tensor | float, threshold: float = 1e-5
) -> tf.Tensor:
    """Returns the sign of a tensor, annealed while the temperature is high.

    With x divided by the temperature T, the value is clip(x / T, -1, 1) where
    T >= threshold, and below it larq's sign(x), where sign(0) = +1. The gradient is
    that of the identity.

    Args:
        x: Tensor of floats.
        temperature: The temperature, a scalar.
        threshold: Lower temperatures count as zero. Defaults to `1e-5`.

    Returns:
        A tensor like `x`.

    Example:
        >>> x = tf.constant([-2.0, -0.25, 0.0, 0.5])
        >>> temperature_sign(x, 0.5).numpy()
        array([-1. , -0.5,  0. ,  1. ], dtype=float32)
        >>> temperature_sign(x, 0.0).numpy()
        array([-1., -1.,  1.,  1.], dtype=float32)

    References:
        [BNext](https://arxiv.org/abs/2211.12933)
    """
    # Half precision has no number as small as the temperatures at the end.
    wide = tf.float64 if x.dtype == tf.float64 else tf.float32
    temperature = tf.cast(temperature, wide)
    threshold = tf.constant(threshold, wide)

    @tf.custom_gradient
    def straight_through(
        x: tf.Tensor,
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        ratio = tf.cast(x, wide) / tf.maximum(temperature, threshold)
        soft = tf.cast(tf.clip_by_value(ratio, -1.0, 1.0), x.dtype)
        # A choice between two tensors is constant in a frozen graph, where the
        # converter needs the kernel; a branch would not be.
        y = tf.where(temperature >= threshold, soft, lq.math.sign(x))
        return y, lambda dy: dy

    return straight_through(x)


@register
class TemperatureSign(lq.quantizers.Quantizer):
    """Quantizer of latent kernels that is annealed from real values to signs.

    While its temperature T is at least `threshold`, the kernel is clip(w / T, -1, 1);
    below it is sign(w). The gradient is that of the identity, so latent weights of any
    magnitude are trained: clip them with `larq.constraints.WeightClip(1.5)`.

    The temperature is a non-trainable weight that starts at 1. Each layer needs a
    quantizer of its own, which saves the temperature with the layer in every format of
    Keras. `TemperatureDecay` lowers it from epoch to epoch.

    A kernel counts as binary from the start: operations and sizes are those of the
    trained network. A converted model is binary only if the temperature is below the
    threshold, which takes 110 epochs at a decay of 0.9 and a threshold of 1e-5.
    Otherwise Larq Compute Engine keeps the layer in float without an error;
    `force_sign` prevents that.

    Args:
        threshold: Lower temperatures count as zero. Defaults to `1e-5`, as in the
            authors' code of BNext-18; that of the other networks has 1e-7.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If `threshold` is not above zero.

    Example:
        >>> quantizer = TemperatureSign()
        >>> kernel = tf.constant([-0.2, 0.1])
        >>> quantizer(kernel).numpy()
        array([-0.2,  0.1], dtype=float32)
        >>> quantizer.temperature.assign(0.0)  # doctest: +ELLIPSIS
        <tf.Variable ...
        >>> quantizer(kernel).numpy()
        array([-1.,  1.], dtype=float32)

    References:
        - [BNext](https://arxiv.org/abs/2211.12933)
        - Paper 003 (Diode), section 4.1, trains BNext-18.
    """

    precision = 1

    def __init__(self, threshold: float = 1e-5, **kwargs: Any):
        if not threshold > 0:
            raise ValueError(f"threshold={threshold!r} must be above 0.")
        # A kernel keeps its precision, whatever the global policy is.
        super().__init__(autocast=False, **kwargs)
        self.threshold = threshold
        # Here and not in `build`, so that a callback finds it before the first batch.
        # HDF5 wants the names of all weights in a nested model to differ.
        self.temperature = self.add_weight(
            name=f"{self.name}/temperature",
            shape=(),
            dtype=tf.float32,
            initializer="ones",
            trainable=False,
            experimental_autocast=False,
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the kernel at the present temperature."""
        temperature = tf.convert_to_tensor(self.temperature)
        return temperature_sign(inputs, temperature, self.threshold)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "threshold": self.threshold}


class TemperatureDecay(tf.keras.callbacks.Callback):
    """Lowers the temperature of every `TemperatureSign` of a model.

    T = decay ** (epoch - first_epoch), set when an epoch begins. It follows from the
    number of the epoch alone, so a run that is resumed with `initial_epoch`
    continues as if it had not been interrupted.

    Args:
        decay: Ratio of the temperatures of successive epochs. Defaults to `0.9`.
        first_epoch: The epoch, from 0, whose temperature is 1. Defaults to `0`.

    Raises:
        ValueError: If `decay` is not between 0 and 1, or when training starts, if the
            model has no such quantizer; when an epoch before the first one begins.

    Example:
        >>> layer = lq.layers.QuantDense(
        ...     1, kernel_quantizer=TemperatureSign(), kernel_constraint="weight_clip"
        ... )
        >>> model = tf.keras.Sequential([layer])
        >>> model.compile("sgd", "mse")
        >>> _ = model.fit([[1.0]], [[1.0]], epochs=4, verbose=0,
        ...               callbacks=[TemperatureDecay(0.5)])
        >>> float(layer.kernel_quantizer.temperature)
        0.125

    References:
        [BNext](https://arxiv.org/abs/2211.12933); the decay is the one of its code.
    """

    def __init__(self, decay: float = 0.9, first_epoch: int = 0):
        if not 0 < decay < 1:
            raise ValueError(f"decay={decay!r} must be between 0 and 1.")
        super().__init__()
        self.decay = decay
        self.first_epoch = first_epoch

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Raises a ValueError if the model has no quantizer with a temperature."""
        _quantizers(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Sets the temperature of the epoch."""
        if epoch < self.first_epoch:
            raise ValueError(
                f"Epoch {epoch} is before first_epoch={self.first_epoch}: give "
                "`fit` that one as its initial_epoch, or a lower first_epoch."
            )
        for quantizer in _quantizers(self.model):
            quantizer.temperature.assign(self.decay ** (epoch - self.first_epoch))


def force_sign(model: tf.keras.Model) -> tf.keras.Model:
    """Returns a copy of a model whose kernels are signs at any temperature.

    The temperature of every `TemperatureSign` is 0 in the copy, so that its kernels are
    sign(w). Larq Compute Engine needs this: it keeps layers with other kernels in
    float, without an error. The predictions of a model whose temperature was still
    above the threshold change.

    Args:
        model: A functional or sequential model with quantizers of this kind.

    Returns:
        A copy with weights of its own, not compiled. The model stays as it is.

    Raises:
        ValueError: If the model has no such quantizer, or is a subclass of
            `tf.keras.Model`, which Keras cannot copy.

    Example:
        >>> layer = lq.layers.QuantConv2D(
        ...     1, 1, kernel_quantizer=TemperatureSign(),
        ...     kernel_constraint="weight_clip", kernel_initializer="ones",
        ... )
        >>> model = tf.keras.Sequential([tf.keras.Input((1, 1, 1)), layer])
        >>> layer.kernel_quantizer.temperature.assign(4.0)  # doctest: +ELLIPSIS
        <tf.Variable ...
        >>> image = tf.ones((1, 1, 1, 1))
        >>> float(model(image)), float(force_sign(model)(image)), float(model(image))
        (0.25, 1.0, 0.25)
    """
    _quantizers(model)
    copy = tf.keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for quantizer in _quantizers(copy):
        quantizer.temperature.assign(0.0)
    return copy


def _quantizers(model: tf.keras.Model) -> list[TemperatureSign]:
    """Returns the quantizers of a model that have a temperature."""
    found = [part for part in model.submodules if isinstance(part, TemperatureSign)]
    if not found:
        raise ValueError(
            f"The model {model.name!r} has no layer with "
            "kernel_quantizer=TemperatureSign(), so there is no temperature to set. "
            "BNext has it with latent_weights=True."
        )
    return found
