"""Keras layers of the networks that neither Keras nor Larq provides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import larq as lq
import tensorflow as tf

from zoo_extensions.registration import register


@register
class ChannelShuffle(tf.keras.layers.Layer):
    """Spreads neighbouring channels over the groups of a grouped convolution.

    With C channels, output channel j * groups + i is input channel
    i * (C / groups) + j.

    Args:
        groups: Number of groups of neighbouring channels that are interleaved.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If `groups` is not a positive integer or does not divide the
            channels.

    Example:
        >>> ChannelShuffle(2)(tf.reshape(tf.range(6), (1, 1, 1, 6))).numpy().ravel()
        array([0, 3, 1, 4, 2, 5], dtype=int32)

    References:
        - Paper 002 (MeliusNet), section 3.2.
        - [ShuffleNet](https://arxiv.org/abs/1707.01083)
    """

    def __init__(self, groups: int, **kwargs: Any):
        if not isinstance(groups, int) or groups < 1:
            raise ValueError(f"groups={groups!r} must be an integer of at least 1.")
        super().__init__(**kwargs)
        self.groups = groups

    def build(self, input_shape: tf.TensorShape) -> None:
        """Checks the number of channels."""
        channels = input_shape[-1]
        if channels is None or channels % self.groups:
            raise ValueError(f"groups={self.groups} must divide {channels} channels.")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the tensor with its last axis permuted."""
        channels = inputs.shape[-1]
        x = tf.reshape(inputs, (-1, self.groups, channels // self.groups))
        x = tf.transpose(x, (0, 2, 1))
        known = inputs.shape[1:]
        shape = (-1, *known) if None not in known else tf.shape(inputs)
        return tf.ensure_shape(tf.reshape(x, shape), inputs.shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "groups": self.groups}


@register
class Shift(tf.keras.layers.Layer):
    """Adds a learned offset to each channel.

    y = x + b, where b starts at 0. Before a binary convolution whose input quantizer is
    a sign, -b is the threshold of the sign.

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> Shift()(tf.constant([[-0.5, 0.0, 2.0]])).numpy()
        array([[-0.5,  0. ,  2. ]], dtype=float32)

    References:
        [ReActNet](https://arxiv.org/abs/2003.03488), section 4.2.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates b."""
        self.bias = self.add_weight(
            name="bias", shape=(input_shape[-1],), initializer="zeros"
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the shifted tensor."""
        return inputs + self.bias


@register
class RSign(Shift):
    """Sign with a learned threshold for each channel.

    y = +1 where x + b >= 0, else -1; the gradient is that of `larq`'s `approx_sign`.
    The input quantizer of a binary convolution after it is `NoOp(precision=1)`, so
    that its operations count as binary.

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> RSign()(tf.constant([[-0.5, 0.0, 2.0]])).numpy()
        array([[-1.,  1.,  1.]], dtype=float32)

    References:
        [ReActNet](https://arxiv.org/abs/2003.03488), section 4.2.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns a tensor of -1 and +1."""
        return lq.quantizers.approx_sign(super().call(inputs))


@register
class RPReLU(tf.keras.layers.PReLU):
    """PReLU with a learned shift of its input and of its output for each channel.

    y = PReLU(x + b1) + b2 with a slope for each channel, which starts at 0.25.

    Args:
        **kwargs: Arguments of `tf.keras.layers.PReLU`.

    Example:
        >>> RPReLU()(tf.constant([[[[-2.0, 0.0, 2.0]]]])).numpy().ravel()
        array([-0.5,  0. ,  2. ], dtype=float32)

    References:
        [ReActNet](https://arxiv.org/abs/2003.03488), section 4.2.
    """

    def __init__(
        self,
        alpha_initializer: float | str | tf.keras.initializers.Initializer = 0.25,
        shared_axes: Sequence[int] | None = (1, 2),
        **kwargs: Any,
    ):
        if isinstance(alpha_initializer, float):
            alpha_initializer = tf.keras.initializers.Constant(alpha_initializer)
        super().__init__(
            alpha_initializer=alpha_initializer, shared_axes=shared_axes, **kwargs
        )

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates b1, b2 and the slope."""
        for name in ("shift_in", "shift_out"):
            weight = self.add_weight(
                name=name, shape=(input_shape[-1],), initializer="zeros"
            )
            setattr(self, name, weight)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the shifted PReLU of the shifted input."""
        return super().call(inputs + self.shift_in) + self.shift_out


@register
class DPReLU(tf.keras.layers.Layer):
    """PReLU with learned slopes on both sides and learned shifts, for each channel.

    y = p max(x - a, 0) + n min(x - a, 0) - b, where p starts at 1, n at 0.25, a and b
    at 0.

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> DPReLU()(tf.constant([[-2.0, 0.0, 2.0]])).numpy()
        array([[-0.5,  0. ,  2. ]], dtype=float32)

    References:
        [PokeBNN](https://arxiv.org/abs/2112.00133), section 4.1.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates a, b and the slopes."""
        for name, start in (
            ("shift_in", 0.0),
            ("shift_out", 0.0),
            ("negative_slope", 0.25),
            ("positive_slope", 1.0),
        ):
            weight = self.add_weight(
                name=name,
                shape=(input_shape[-1],),
                initializer=tf.keras.initializers.Constant(start),
            )
            setattr(self, name, weight)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the activation."""
        x = inputs - self.shift_in
        zero = tf.zeros((), x.dtype)
        above, below = tf.maximum(x, zero), tf.minimum(x, zero)
        y = above * self.positive_slope + below * self.negative_slope
        return y - self.shift_out


@register
class HardSigmoid(tf.keras.layers.Layer):
    """Piecewise linear sigmoid: y = min(max(x + 3, 0), 6) / 6.

    Keras 2's `"hard_sigmoid"` has another slope.

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> HardSigmoid()(tf.constant([-4.0, 0.0, 1.5, 4.0])).numpy()
        array([0.  , 0.5 , 0.75, 1.  ], dtype=float32)

    References:
        [MobileNetV3](https://arxiv.org/abs/1905.02244), section 5.2.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns values in [0, 1]."""
        return tf.nn.relu6(inputs + 3.0) * (1.0 / 6.0)


@register
class ReshapeAdd(tf.keras.layers.Layer):
    """Adds a shortcut without parameters, whatever its channels and its stride.

    A shortcut with more channels becomes the means of neighbouring ones, one with fewer
    gets more; where the image is halved, its 3x3 neighbourhoods are averaged.

    Args:
        expand: Where channels are missing, `"zeros"` appends zeros and `"repeat"`
            repeats the channels from the first one.
        strides: 1, or 2 where the image is halved. Defaults to `1`.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If `expand` is another word, or the inputs are not two tensors.

    Example:
        >>> y, r = tf.zeros((1, 1, 1, 4)), tf.constant([[[[1.0, 2.0]]]])
        >>> ReshapeAdd("zeros")([y, r]).numpy().ravel()
        array([1., 2., 0., 0.], dtype=float32)
        >>> ReshapeAdd("repeat")([y, r]).numpy().ravel()
        array([1., 2., 1., 2.], dtype=float32)
        >>> ReshapeAdd("zeros")([r, y + 3.0]).numpy().ravel()
        array([4., 5.], dtype=float32)

    References:
        [PokeBNN](https://arxiv.org/abs/2112.00133), section 4.1.
    """

    def __init__(self, expand: str, strides: int = 1, **kwargs: Any):
        if expand not in ("zeros", "repeat"):
            raise ValueError(f"expand={expand!r} must be 'zeros' or 'repeat'.")
        super().__init__(**kwargs)
        self.expand = expand
        self.strides = strides

    def build(self, input_shape: list[tf.TensorShape]) -> None:
        """Checks the inputs."""
        if not isinstance(input_shape, (list, tuple)) or len(input_shape) != 2:
            raise ValueError(f"The inputs must be two tensors. Received: {input_shape}")
        super().build(input_shape)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns the sum."""
        y, shortcut = inputs
        shortcut = self._with_channels(shortcut, y.shape[-1])
        if self.strides > 1:
            shortcut = tf.nn.avg_pool2d(shortcut, 3, self.strides, "SAME")
        return y + shortcut

    def _with_channels(self, x: tf.Tensor, wanted: int) -> tf.Tensor:
        channels = x.shape[-1]
        if channels > wanted:
            return _means_of_neighbours(x, wanted)
        if channels == wanted:
            return x
        if self.expand == "zeros":
            return tf.pad(x, ((0, 0), (0, 0), (0, 0), (0, wanted - channels)))
        repeated = tf.tile(x, (1, 1, 1, -(-wanted // channels)))
        return repeated[..., :wanted] if wanted % channels else repeated

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = {"expand": self.expand, "strides": self.strides}
        return {**super().get_config(), **config}


def _means_of_neighbours(x: tf.Tensor, wanted: int) -> tf.Tensor:
    """Returns the means of as many neighbours each; channels that are left are not."""
    group = x.shape[-1] // wanted
    known = (*x.shape[1:-1], wanted)
    shape = (
        (-1, *known) if None not in known else (*tf.unstack(tf.shape(x)[:-1]), wanted)
    )
    if x.shape[-1] % wanted:
        x = x[..., : group * wanted]
    groups = tf.reshape(x, (-1, wanted, group))
    return tf.ensure_shape(
        tf.reshape(tf.reduce_mean(groups, axis=2), shape), (x.shape[0], *known)
    )


@register
class PadShortcut(tf.keras.layers.Layer):
    """Parameter-free shortcut: every other pixel, with zeros as the new channels.

    Args:
        filters: Channels of the output; half of the new ones come before the input's.
        strides: Distance between the pixels that are kept. Defaults to `2`.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If `filters` is less than the channels of the input.

    Example:
        >>> PadShortcut(6)(tf.ones((1, 3, 3, 2))).numpy()[0, 1, 1]
        array([0., 0., 1., 1., 0., 0.], dtype=float32)

    References:
        [ResNet](https://arxiv.org/abs/1512.03385), option A of section 3.3.
    """

    def __init__(self, filters: int, strides: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides

    def build(self, input_shape: tf.TensorShape) -> None:
        """Checks the number of channels."""
        if input_shape[-1] is None or self.filters < input_shape[-1]:
            raise ValueError(
                f"filters={self.filters} must be at least the {input_shape[-1]} "
                "channels of the input."
            )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the smaller image with more channels."""
        added = self.filters - inputs.shape[-1]
        before, after = added // 2, added - added // 2
        x = inputs[:, :: self.strides, :: self.strides]
        return tf.pad(x, ((0, 0), (0, 0), (0, 0), (before, after)))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = {"filters": self.filters, "strides": self.strides}
        return {**super().get_config(), **config}


@register
class HardTanh(tf.keras.layers.Layer):
    """Clips to [-1, 1].

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Example:
        >>> HardTanh()(tf.constant([-3.0, 0.5, 3.0])).numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the clipped tensor."""
        return tf.clip_by_value(inputs, -1.0, 1.0)


@register
class ChannelScale(tf.keras.layers.Layer):
    """Multiplies each channel by a learned scale.

    y = activation(s * x + b). After a layer with binary kernels it has the effect of a
    scale of the kernels; the bias and the activation of that layer belong here then.

    Args:
        axis: Axis of the channels. Defaults to `-1`.
        use_bias: Whether to add b, which starts at zero. Defaults to `False`.
        activation: Activation of the result. Defaults to `None`.
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If the number of channels is not known.

    Example:
        >>> scale = ChannelScale()
        >>> scale.build((None, 3))
        >>> scale.set_weights([tf.constant([0.5, 1.0, 2.0])])
        >>> scale(tf.constant([[4.0, 4.0, 4.0]])).numpy()
        array([[2., 4., 8.]], dtype=float32)

    References:
        [XNOR-Net](https://arxiv.org/abs/1603.05279), section 3.1, for a scale that is
        computed; [XNOR-Net++](https://arxiv.org/abs/1909.13863) for a learned one.
    """

    def __init__(
        self,
        axis: int = -1,
        use_bias: bool = False,
        activation: str | Callable[[tf.Tensor], tf.Tensor] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.axis = axis
        self.use_bias = use_bias
        self.activation = tf.keras.activations.get(activation)

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates s and b."""
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                f"{self.name} must know the size of axis {self.axis} of its input, "
                f"which is {tuple(input_shape)}."
            )
        self.scale = self.add_weight(
            name="scale", shape=(channels,), initializer="ones"
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(channels,), initializer="zeros"
            )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the scaled tensor."""
        outputs = inputs * self._by_channel(self.scale, inputs.shape.rank)
        if self.use_bias:
            outputs += self._by_channel(self.bias, inputs.shape.rank)
        return self.activation(outputs)

    def _by_channel(self, values: tf.Tensor, rank: int) -> tf.Tensor:
        if self.axis in (-1, rank - 1):
            # Larq Compute Engine fuses vectors into a convolution, and nothing else.
            return tf.convert_to_tensor(values)
        shape = [1] * rank
        shape[self.axis] = -1
        return tf.reshape(values, shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = {
            "axis": self.axis,
            "use_bias": self.use_bias,
            "activation": tf.keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}


def _to_unit_interval(weight: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(weight, 0.0, 1.0)


@register
class LearnedMix(tf.keras.layers.Layer):
    """Mixes two tensors in a learned proportion for each channel.

    y = a * first + (1 - a) * second, where a starts at 0.5. A constraint keeps a in
    [0, 1] after each step of an optimizer, so that clipping never stops its gradient.

    Args:
        **kwargs: Arguments of `tf.keras.layers.Layer`.

    Raises:
        ValueError: If the inputs are not two tensors with the same number of channels.

    Example:
        >>> LearnedMix()([tf.constant([[1.0, 4.0]]), tf.constant([[3.0, 0.0]])]).numpy()
        array([[2., 2.]], dtype=float32)

    References:
        [BNext](https://arxiv.org/abs/2211.12933)
    """

    def build(self, input_shape: list[tf.TensorShape]) -> None:
        """Checks the inputs and creates a."""
        if not isinstance(input_shape, (list, tuple)) or len(input_shape) != 2:
            raise ValueError(f"The inputs must be two tensors. Received: {input_shape}")
        channels, others = (shape[-1] for shape in input_shape)
        if channels is None or channels != others:
            raise ValueError(
                "The inputs must have the same number of channels. Received: "
                f"{channels} and {others}"
            )
        self.proportion = self.add_weight(
            name="proportion",
            shape=(channels,),
            initializer=tf.keras.initializers.Constant(0.5),
            constraint=_to_unit_interval,
        )
        super().build(input_shape)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns the mix."""
        first, second = inputs
        return self.proportion * first + (1 - self.proportion) * second
