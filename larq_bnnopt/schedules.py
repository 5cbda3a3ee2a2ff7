"""Learning-rate schedules over a whole run, with warm-up.

Each function returns a Keras `LearningRateSchedule`, for every hyperparameter that a
paper decays: the learning rate, Diode's eta, alpha, gamma, the threshold of Bop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

Schedule: TypeAlias = tf.keras.optimizers.schedules.LearningRateSchedule


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
class WarmUp(tf.keras.optimizers.schedules.LearningRateSchedule):
    r"""Rises linearly to the first value of another schedule, then follows it.

    \[ f(t) = \frac{t + 1}{w + 1} s(0) \text{ for } t < w, \quad
    f(t) = s(t - w) \text{ otherwise} \]

    The value is above zero at the first step, which would change nothing otherwise.

    Args:
        schedule: The schedule s.
        steps: Length w of the warm-up, at least 1.

    Raises:
        ValueError: If `steps` is below 1.

    Example:
        >>> rate = WarmUp(cosine(1.0, 100), 3)
        >>> [round(float(rate(step)), 3) for step in (0, 1, 2, 3, 53, 103)]
        [0.25, 0.5, 0.75, 1.0, 0.5, 0.0]
    """

    def __init__(self, schedule: Schedule, steps: int):
        if steps < 1:
            raise ValueError(f"A warm-up needs at least 1 step. Received: {steps}")
        self.schedule = schedule
        self.steps = int(steps)

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """Returns the value at a step, float32."""
        step = tf.cast(step, tf.float32)
        w = tf.constant(self.steps, tf.float32)
        after = tf.cast(self.schedule(tf.maximum(step - w, 0.0)), tf.float32)
        return tf.where(step < w, (step + 1) / (w + 1) * after, after)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        schedule = tf.keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        """Makes the schedule of a configuration."""
        inner = tf.keras.optimizers.schedules.deserialize(config["schedule"])
        return cls(inner, config["steps"])


def constant(start: float, steps: int, *, warmup: int = 0) -> Schedule:
    """Stays at `start` after the warm-up.

    Args:
        start: The value, above 0.
        steps: Steps of the whole run, the warm-up included.
        warmup: Steps of the warm-up. Defaults to `0`.

    Returns:
        The schedule.

    Raises:
        ValueError: For a start that is not above 0, or a warm-up that is as long as the
            run.

    Example:
        >>> rate = constant(0.5, 100, warmup=1)
        >>> [round(float(rate(step)), 4) for step in (0, 1, 100)]
        [0.25, 0.5, 0.5]

    References:
        Paper 001 (gradient filtering), figure 6: alpha without a decay. Paper 003
        (Diode), figure 3: eta without one.
    """
    decay = _decay_steps(start, 0.0, steps, warmup)
    schedules = tf.keras.optimizers.schedules
    return _warmed(schedules.PolynomialDecay(start, decay, start), warmup)


def cosine(start: float, steps: int, *, end: float = 0.0, warmup: int = 0) -> Schedule:
    """Falls from `start` to `end` along half a cosine.

    Args:
        start: First value after the warm-up, above 0.
        steps: Steps of the whole run, the warm-up included.
        end: Value at the end. Defaults to `0.0`.
        warmup: Steps of the warm-up. Defaults to `0`.

    Returns:
        The schedule.

    Raises:
        ValueError: For a start that is not above the end, an end below 0, or a warm-up
            that leaves no steps for the decay.

    Example:
        >>> rate = cosine(0.4, 100)
        >>> [round(float(rate(step)), 4) for step in (0, 50, 100)]
        [0.4, 0.2, 0.0]

    References:
        Paper 003 (Diode), figure 3: the best of the decays of eta compared there.
    """
    decay = _decay_steps(start, end, steps, warmup)
    schedules = tf.keras.optimizers.schedules
    return _warmed(schedules.CosineDecay(start, decay, alpha=end / start), warmup)


def linear(start: float, steps: int, *, end: float = 0.0, warmup: int = 0) -> Schedule:
    """Falls linearly from `start` to `end`.

    Args:
        start: First value after the warm-up, above 0.
        steps: Steps of the whole run, the warm-up included.
        end: Value at the end. Defaults to `0.0`.
        warmup: Steps of the warm-up. Defaults to `0`.

    Returns:
        The schedule.

    Raises:
        ValueError: As for `cosine`.

    Example:
        >>> rate = linear(0.4, 100)
        >>> [round(float(rate(step)), 4) for step in (0, 25, 100)]
        [0.4, 0.3, 0.0]

    References:
        Paper 001 (gradient filtering), section 4.1, on ImageNet.
    """
    decay = _decay_steps(start, end, steps, warmup)
    schedules = tf.keras.optimizers.schedules
    return _warmed(schedules.PolynomialDecay(start, decay, end), warmup)


def exponential(start: float, steps: int, *, end: float, warmup: int = 0) -> Schedule:
    r"""Falls from `start` to `end` by an equal factor at each step.

    \[ f(t) = s \, (e / s)^{t / T} \]

    with start s, end e and T steps. PyTorch's `ExponentialLR` multiplies by its gamma
    after each epoch instead; at the ends of N epochs both agree for
    gamma = (e / s)^(1 / N). The value never reaches 0.

    Args:
        start: First value after the warm-up, above 0.
        steps: Steps of the whole run, the warm-up included.
        end: Value at the end, above 0.
        warmup: Steps of the warm-up. Defaults to `0`.

    Returns:
        The schedule.

    Raises:
        ValueError: As for `cosine`, and for an end of 0.

    Example:
        >>> rate = exponential(1.0, 100, end=0.01)
        >>> [round(float(rate(step)), 4) for step in (0, 50, 100)]
        [1.0, 0.1, 0.01]

    References:
        Paper 003 (Diode), figure 3, one of the decays of eta; it does not state gamma.
    """
    if end <= 0:
        raise ValueError(f"An exponential decay never reaches 0. Received: end={end}")
    decay = _decay_steps(start, end, steps, warmup)
    schedules = tf.keras.optimizers.schedules
    return _warmed(schedules.ExponentialDecay(start, decay, end / start), warmup)


def step(
    start: float,
    steps: int,
    *,
    at: Sequence[float] = (0.5, 0.75),
    factor: float = 0.1,
    warmup: int = 0,
) -> Schedule:
    """Falls by a factor at points of the run.

    Args:
        start: First value after the warm-up, above 0.
        steps: Steps of the whole run, the warm-up included.
        at: Points, as shares of the steps after the warm-up, rising, in (0, 1).
            Defaults to `(0.5, 0.75)`.
        factor: The value is multiplied by it at each, in (0, 1). Defaults to `0.1`.
        warmup: Steps of the warm-up. Defaults to `0`.

    Returns:
        The schedule.

    Raises:
        ValueError: As for `cosine`, and for points or a factor outside their ranges.

    Example:
        >>> rate = step(1.0, 100)
        >>> [round(float(rate(step)), 4) for step in (0, 50, 51, 76)]
        [1.0, 1.0, 0.1, 0.01]
    """
    decay = _decay_steps(start, 0.0, steps, warmup)
    points = list(at)
    if (
        not points
        or points != sorted(set(points))
        or not 0 < points[0] <= points[-1] < 1
    ):
        raise ValueError(f"at must rise inside (0, 1). Received: {at!r}")
    if not 0 < factor < 1:
        raise ValueError(f"factor must be in (0, 1). Received: {factor!r}")
    values = [start * factor**index for index in range(len(points) + 1)]
    boundaries = [round(point * decay) for point in points]
    schedules = tf.keras.optimizers.schedules
    return _warmed(schedules.PiecewiseConstantDecay(boundaries, values), warmup)


def matching(
    shape: Callable[..., Schedule],
    steps: int,
    *,
    real: float,
    binary: float,
    **options: Any,
) -> tuple[Schedule, Schedule]:
    """Returns schedules of one shape for both optimizers of a `CaseOptimizer`.

    Args:
        shape: `constant`, `cosine`, `linear`, `exponential` or `step`.
        steps: Steps of the whole run.
        real: First learning rate of the optimizer of the real-valued parameters.
        binary: First value of the decaying hyperparameter of the binary optimizer: the
            learning rate of Diode, alpha of the gradient filter, gamma of Bop.
        **options: Options of the shape. `end` is the last learning rate of the
            real-valued parameters; it is scaled for the binary weights.

    Returns:
        The schedule of the real-valued parameters, and the one of the binary weights.

    Example:
        >>> from larq_bnnopt.optimizers import CaseOptimizer, Diode
        >>> rate, eta = matching(cosine, 1000, real=0.01, binary=1.0, warmup=100)
        >>> optimizer = CaseOptimizer(
        ...     (Diode.is_binary_variable, Diode(eta)),
        ...     default_optimizer=tf.keras.optimizers.Adam(rate))
        >>> [round(float(eta(step) / rate(step))) for step in (0, 99, 500)]
        [100, 100, 100]
    """
    scaled = dict(options)
    if "end" in scaled:
        scaled["end"] = scaled["end"] * binary / real
    return shape(real, steps, **options), shape(binary, steps, **scaled)


def _decay_steps(start: float, end: float, steps: int, warmup: int) -> int:
    """Returns the number of steps after the warm-up."""
    if not start > end >= 0:
        raise ValueError(
            f"A decay needs start > end >= 0. Received: start={start}, end={end}"
        )
    if not 0 <= warmup < steps:
        raise ValueError(
            f"A warm-up of {warmup} steps does not fit into {steps} steps."
        )
    return steps - warmup


def _warmed(schedule: Schedule, warmup: int) -> Schedule:
    return WarmUp(schedule, warmup) if warmup else schedule
