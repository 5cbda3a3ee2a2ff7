"""Loss landscapes: the loss on a plane of weights around a trained model."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import larq as lq
import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Landscape:
    """The loss at theta + a d1 + b d2.

    Attributes:
        steps: The values of a and of b, float64 (points,), symmetric around 0.
        losses: The loss, float64 (points, points): rows are a, columns b.
    """

    steps: np.ndarray
    losses: np.ndarray


def loss_landscape(
    model: tf.keras.Model,
    batches: Iterable[tuple[Any, Any]],
    points: int = 21,
    span: float = 1.0,
    seed: int = 0,
) -> Landscape:
    """Computes the loss on a plane through the weights of a trained model.

        L(a, b) = loss(theta + a d1 + b d2),    a, b in [-span, span]

    along two filter-normalized random directions: each filter of a direction has the
    norm of the filter of theta, so that a step means the same for large and for small
    weights. As with the authors, biases and batch normalization stay, and its moving
    statistics are used. Latent kernels move, and the network uses their signs, so a
    landscape of steps is seen; kernels that are {-1, +1} themselves have no neighbours
    and stay.

    Args:
        model: A compiled model; its weights are restored.
        batches: Pairs of inputs and targets, arrays or tensors; the same for all
            points.
        points: Number of values of a and of b, odd so that one of them is 0. Defaults
            to `21`.
        span: Largest a and b; at 1 a direction is as long as the weights. Defaults to
            `1.0`.
        seed: Seed of the directions. Defaults to `0`.

    Returns:
        The steps and the losses.

    Raises:
        ValueError: If `points` is not odd or below 3, `span` not above 0, there are no
            batches, the model has no loss or no weight can move.

    Example:
        >>> model = tf.keras.Sequential([
        ...     tf.keras.layers.Dense(1, use_bias=False, input_shape=(1,))])
        >>> model.compile(loss="mse")
        >>> model.set_weights([np.array([[2.0]])])
        >>> batches = [(np.array([[1.0]]), np.array([[2.0]]))]
        >>> found = loss_landscape(model, batches, points=3)
        >>> found.losses.shape, float(found.losses.min()), float(found.losses[1, 1])
        ((3, 3), 0.0, 0.0)

    References:
        Li et al., "Visualizing the loss landscape of neural nets" (2018), section 4;
        paper 000 (AdamBNN) compares landscapes of binary and real networks.
    """
    if points < 3 or points % 2 == 0:
        raise ValueError(f"points must be odd, at least 3. Received: {points}")
    if not span > 0:
        raise ValueError(f"span must be above 0. Received: {span}")
    kept = list(batches)
    if not kept:
        raise ValueError("batches is empty. A landscape needs at least one.")
    if getattr(model, "loss", None) is None:
        raise ValueError(f"{model.name} has no loss. Compile it with one.")
    variables = movable_variables(model)
    if not variables:
        raise ValueError(
            f"{model.name} has no trainable real-valued or latent kernel to move."
        )
    center = [variable.numpy() for variable in variables]
    axes = [filter_axes(variable) for variable in variables]
    one, other = (
        filter_normalized(center, axes, np.random.default_rng([seed, number]))
        for number in range(2)
    )
    steps = np.linspace(-span, span, points)
    losses = np.empty((points, points))
    mean_loss = _mean_loss(model, kept)
    try:
        for (row, a), (column, b) in _grid(steps):
            for variable, *parts in zip(variables, center, one, other):
                variable.assign(parts[0] + a * parts[1] + b * parts[2])
            losses[row, column] = mean_loss()
    finally:
        for variable, value in zip(variables, center):
            variable.assign(value)
        model.reset_metrics()
    return Landscape(steps, losses)


def _grid(steps: np.ndarray) -> Iterator[tuple[tuple[int, float], tuple[int, float]]]:
    return itertools.product(enumerate(steps), enumerate(steps))


def _mean_loss(
    model: tf.keras.Model, batches: Sequence[tuple[Any, Any]]
) -> Callable[[], float]:
    """Returns a function that computes the mean loss of the examples."""

    @tf.function(reduce_retracing=True)
    def loss_of(x: Any, y: Any) -> tf.Tensor:
        return model.compute_loss(x, y, model(x, training=False))

    tensors = [tf.nest.map_structure(tf.convert_to_tensor, pair) for pair in batches]
    sizes = [len(tf.nest.flatten(y)[0]) for _, y in tensors]

    def mean() -> float:
        losses = [float(loss_of(x, y)) for x, y in tensors]
        return float(np.average(losses, weights=sizes))

    return mean


def movable_variables(model: tf.keras.Model) -> list[tf.Variable]:
    """Returns the kernels that a direction moves: real-valued ones and latent ones."""
    return [
        variable
        for variable in model.trainable_variables
        if variable.shape.rank > 1
        and not isinstance(getattr(variable, "quantizer", None), lq.quantizers.NoOp)
    ]


def filter_axes(variable: tf.Variable) -> tuple[int, ...]:
    """Returns the axes of a kernel that make one filter: all but its outputs'."""
    rank = variable.shape.rank
    # Keras keeps the channels of a depthwise kernel before their multiplier.
    outputs = 2 if "depthwise_kernel" in variable.name else 1
    return tuple(range(rank - outputs))


def filter_normalized(
    weights: Sequence[np.ndarray],
    axes: Sequence[tuple[int, ...]],
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Returns a random direction, each filter as long as the filter of the weights.

        d <- d |theta| / |d|    for each filter

    Args:
        weights: Kernels.
        axes: Of each, the axes of one filter.
        generator: Source of the normal distribution.

    Example:
        >>> kernel = np.array([[3.0, 0.0], [4.0, 2.0]])
        >>> (direction,) = filter_normalized(
        ...     [kernel], [(0,)], np.random.default_rng(0))
        >>> np.linalg.norm(direction, axis=0).round(6).tolist()
        [5.0, 2.0]
    """
    directions = []
    for values, own in zip(weights, axes):
        direction = generator.normal(size=values.shape)
        length = np.sqrt(np.sum(direction**2, axis=own, keepdims=True))
        target = np.sqrt(np.sum(values.astype(float) ** 2, axis=own, keepdims=True))
        directions.append(direction / length * target)
    return directions
