"""The published update rules for binary weights: tensors in, tensors out.

Symbols are the papers': `theta` the binary weights, `gradient` the loss gradient with
respect to them, `u`, `m`, `g` the averages that an optimizer keeps between steps. No
function here knows of Keras, variables or steps.
"""

from __future__ import annotations

from typing import TypeAlias, Union

import tensorflow as tf

Scalar: TypeAlias = Union[float, tf.Tensor]
Weights: TypeAlias = tf.Tensor
ON_ZERO = ("keep", "positive", "random")


def binary_sign(x: tf.Tensor) -> tf.Tensor:
    """Returns the sign of `x` in {-1, +1}, with sign(0) = +1 as in `larq.math.sign`.

    Example:
        >>> binary_sign(tf.constant([-2.0, 0.0, 3.0])).numpy().tolist()
        [-1.0, 1.0, 1.0]
    """
    return tf.where(x < 0, -tf.ones_like(x), tf.ones_like(x))


def _scalar(value: Scalar, dtype: tf.DType) -> tf.Tensor:
    # tf.cast would round a Python float to float32 on its way to float64.
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


def average(old: tf.Tensor, new: tf.Tensor, weight: Scalar) -> tf.Tensor:
    """Returns the exponential moving average `old + weight * (new - old)`.

    This form (and not `(1 - weight) * old + weight * new`) is the one in which the
    gradient filter equals SGD with weight decay bit for bit (paper 001, eq. 3 and
    11-13).
    """
    if isinstance(weight, float) and weight == 1.0:
        return new  # Nothing is remembered, which the difference would round.
    return old + _scalar(weight, old.dtype) * (new - old)


def oppose(
    inertia: tf.Tensor, theta: Weights, on_zero: str, seed: tf.Tensor | None = None
) -> Weights:
    """Returns theta = -sign(inertia), with a rule for an inertia of exactly zero.

    Args:
        inertia: The quantity whose sign the weights oppose.
        theta: Current weights, same shape, any real values.
        on_zero: What sign(0) means: "keep" leaves sign(theta) (authors' code of paper
            001), "positive" gives +1 (authors' code of paper 003), "random" draws from
            {-1, +1} with equal chances (paper 001, eq. 5).
        seed: Two int32, needed for "random"; equal seeds give equal draws.

    Returns:
        Weights in {-1, +1} of theta's dtype; nan where the inertia is nan.
    """
    if on_zero == "keep":
        undecided = binary_sign(theta)
    elif on_zero == "positive":
        undecided = tf.ones_like(theta)
    elif on_zero == "random":
        draw = tf.random.stateless_uniform(tf.shape(theta), seed, -1.0, 1.0)
        undecided = tf.cast(binary_sign(draw), theta.dtype)
    else:
        raise ValueError(f"on_zero must be one of {ON_ZERO}. Received: {on_zero!r}")
    # An average that is no number must show in the loss and not freeze its weight.
    undecided = tf.where(
        tf.math.is_nan(inertia), tf.cast(inertia, theta.dtype), undecided
    )
    one = tf.ones_like(theta)
    return tf.where(inertia > 0, -one, tf.where(inertia < 0, one, undecided))


def diode(
    gradient: tf.Tensor,
    theta: Weights,
    u: tf.Tensor,
    m: tf.Tensor,
    *,
    eta: Scalar,
    alpha: Scalar,
    beta: Scalar,
    on_zero: str = "keep",
    seed: tf.Tensor | None = None,
) -> tuple[Weights, tf.Tensor, tf.Tensor]:
    """One step of Diode (paper 003, eq. 10-13).

        u = alpha u + (1 - alpha) gradient        (10)
        v = eta sign(u), with sign(0) = 0         (11)
        m = beta m + (1 - beta) v                 (12)
        theta = -sign(m)                          (13)

    eta scales the vote that enters the average m, so that a decaying eta freezes the
    signs; outside the average it would have no effect at all.

    Args:
        gradient: Gradient, same shape as theta.
        theta: Current weights.
        u: Average of gradients.
        m: Average of votes.
        eta: Size of a vote.
        alpha: Memory of u, in [0, 1).
        beta: Memory of m, in [0, 1).
        on_zero: See `oppose`.
        seed: See `oppose`.

    Returns:
        New theta, u and m.

    Example:
        >>> gradient, theta = tf.constant([0.2, -3.0]), tf.constant([1.0, 1.0])
        >>> zero = tf.zeros(2)
        >>> new, u, m = diode(gradient, theta, zero, zero, eta=1., alpha=0.5, beta=0.5)
        >>> new.numpy().tolist(), u.numpy().tolist(), m.numpy().tolist()
        ([-1.0, 1.0], [0.10000000149011612, -1.5], [0.5, -0.5])
    """
    u = average(u, tf.cast(gradient, u.dtype), 1.0 - alpha)
    v = _scalar(eta, m.dtype) * tf.cast(tf.sign(u), m.dtype)
    m = average(m, v, 1.0 - beta)
    return oppose(m, theta, on_zero, seed), u, m


def gradient_filter(
    gradient: tf.Tensor,
    theta: Weights,
    averages: tuple[tf.Tensor, ...],
    *,
    alpha: Scalar,
    gamma: Scalar,
    on_zero: str = "keep",
    seed: tf.Tensor | None = None,
) -> tuple[Weights, tuple[tf.Tensor, ...]]:
    """One step of the gradient filter of order 1 or 2 (paper 001, eq. 10-15).

        m = (1 - gamma) m + gamma gradient        (11)
        g = (1 - alpha) g + alpha m               (12)
        theta = -sign(g)                          (13)

    This is the cascade of two first-order filters. The direct form printed as eq. 17 is
    the same only while alpha is constant, and loses more digits in float32. Order 1
    leaves out eq. 11: m is the gradient itself.

    Args:
        gradient: Gradient, same shape as theta.
        theta: Current weights.
        averages: `(m, g)` for order 2, `(g,)` for order 1.
        alpha: Weight of the newest value in g, in (0, 1].
        gamma: Weight of the newest gradient in m, in (0, 1]; unused in order 1.
        on_zero: See `oppose`.
        seed: See `oppose`.

    Returns:
        New theta and new averages.

    Example:
        >>> gradient, theta = tf.constant([0.5, -2.0]), tf.constant([1.0, 1.0])
        >>> new, (m, g) = gradient_filter(
        ...     gradient, theta, (tf.zeros(2), tf.zeros(2)), alpha=0.5, gamma=0.5)
        >>> new.numpy().tolist(), m.numpy().tolist(), g.numpy().tolist()
        ([-1.0, 1.0], [0.25, -1.0], [0.125, -0.5])
    """
    *momentum, g = averages
    m = tf.cast(gradient, g.dtype)
    if momentum:
        m = average(momentum[0], m, gamma)
    g = average(g, m, alpha)
    return oppose(g, theta, on_zero, seed), (m, g) if momentum else (g,)
