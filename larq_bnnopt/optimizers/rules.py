"""Published update rules for binary weights: tensors in, tensors out.

Symbols are the papers': `theta` the binary weights, `gradient` the loss gradient with
respect to them, `u`, `m`, `g` the averages that an optimizer keeps between steps. No
function here knows Keras, variables or steps.
"""

from __future__ import annotations

from typing import TypeAlias, Union

import tensorflow as tf

from larq_bnnopt.optimizers.noise import random_bits

Scalar: TypeAlias = Union[float, tf.Tensor]
Weights: TypeAlias = tf.Tensor
ON_ZERO = ("keep", "positive", "random")
# The rounding of averages has salts of its own, from 0.
_SALT_OF_SIGNS = 2**32 - 1


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
    weight = _scalar(weight, old.dtype)
    # With a weight of 1 the result is `new` exactly, which the difference would round.
    return tf.where(weight == 1, new, old + weight * (new - old))


def opposite_sign(
    inertia: tf.Tensor, theta: Weights, on_zero: str, seed: tf.Tensor | None = None
) -> Weights:
    """Returns theta = -sign(inertia), with a rule for an inertia of exactly zero.

    Args:
        inertia: The quantity whose sign the weights oppose.
        theta: Current weights, same shape, any real values.
        on_zero: Meaning of sign(0): "keep" leaves sign(theta) (authors' code of paper
            001), "positive" gives +1 (authors' code of paper 003), "random" draws from
            {-1, +1} with equal chances (paper 001, eq. 5).
        seed: Needed for "random", see `noise.random_bits`; equal seeds give equal
            draws.

    Returns:
        Weights in {-1, +1} of theta's dtype; nan where the inertia is nan.
    """
    if on_zero == "keep":
        undecided = binary_sign(theta)
    elif on_zero == "positive":
        undecided = tf.ones_like(theta)
    elif on_zero == "random":
        if seed is None:
            raise ValueError('on_zero="random" needs a seed.')
        heads = random_bits(theta, seed, _SALT_OF_SIGNS) < 32768
        undecided = tf.where(heads, tf.ones_like(theta), -tf.ones_like(theta))
    else:
        raise ValueError(f"on_zero must be one of {ON_ZERO}. Received: {on_zero!r}")
    # An average that is NaN must show in the loss and not freeze its weight.
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
        on_zero: See `opposite_sign`.
        seed: See `opposite_sign`.

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
    return opposite_sign(m, theta, on_zero, seed), u, m


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
        on_zero: See `opposite_sign`.
        seed: See `opposite_sign`.

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
    return opposite_sign(g, theta, on_zero, seed), (m, g) if momentum else (g,)


def iir_filter(
    gradient: tf.Tensor,
    theta: Weights,
    z: tuple[tf.Tensor, ...],
    *,
    b: tuple[float, ...],
    a: tuple[float, ...],
    on_zero: str = "keep",
    seed: tf.Tensor | None = None,
) -> tuple[Weights, tuple[tf.Tensor, ...]]:
    """One step of the general gradient filter (paper 001, eq. 14).

        y_i = sum_k b_k gradient_{i-k} - sum_{k>0} a_k y_{i-k}
        theta = -sign(y)

    in the transposed direct form II, which keeps as many values as the filter has
    order: y = b_0 x + z_1, z_k = b_k x - a_k y + z_{k+1}.

    The last term of eq. 14 as printed has the index of the other sum.

    Args:
        gradient: Gradient x, same shape as theta.
        theta: Current weights.
        z: State, one value fewer than there are coefficients.
        b: Coefficients of the gradients, as many as of `a`.
        a: Coefficients of the outputs, with a_0 = 1.
        on_zero: See `opposite_sign`.
        seed: See `opposite_sign`.

    Returns:
        New theta and new state.

    Example:
        >>> gradient, theta = tf.constant([0.5, -2.0]), tf.constant([1.0, 1.0])
        >>> new, (z,) = iir_filter(
        ...     gradient, theta, (tf.zeros(2),), b=(0.5, 0.0), a=(1.0, -0.5))
        >>> new.numpy().tolist(), z.numpy().tolist()
        ([-1.0, 1.0], [0.125, -0.5])
    """
    dtype = z[0].dtype if z else gradient.dtype
    x = tf.cast(gradient, dtype)
    first, *rest = (_scalar(value, dtype) for value in b)
    y = first * x + (z[0] if z else 0)
    state = []
    for k, (b_k, a_k) in enumerate(zip(rest, a[1:]), start=1):
        value = b_k * x - _scalar(a_k, dtype) * y
        state.append(value + z[k] if k < len(z) else value)
    return opposite_sign(y, theta, on_zero, seed), tuple(state)


def flip_where_above(theta: Weights, inertia: tf.Tensor, threshold: Scalar) -> Weights:
    """Flips the weights that agree in sign with an inertia above a threshold.

    Args:
        theta: Current weights, any real values.
        inertia: Same shape.
        threshold: At least 0. An inertia of exactly the threshold flips nothing.

    Returns:
        Weights in {-1, +1} of theta's dtype; nan where the inertia is nan.
    """
    theta = tf.cast(binary_sign(theta), inertia.dtype)
    push = theta * inertia
    flipped = tf.where(push > _scalar(threshold, inertia.dtype), -theta, theta)
    return tf.where(tf.math.is_nan(push), push, flipped)


def bop(
    gradient: tf.Tensor,
    theta: Weights,
    m: tf.Tensor,
    *,
    gamma: Scalar,
    threshold: Scalar,
) -> tuple[Weights, tf.Tensor]:
    """One step of Bop (Helwegen et al., 2019, algorithm 1).

        m = (1 - gamma) m + gamma gradient
        theta = -theta where theta m > threshold

    Args:
        gradient: Gradient, same shape as theta.
        theta: Current weights.
        m: Average of gradients.
        gamma: Weight of the newest gradient, in (0, 1].
        threshold: Size of m above which it flips a weight, at least 0.

    Returns:
        New theta and m.

    Example:
        >>> gradient, theta = tf.constant([0.5, -2.0]), tf.constant([1.0, 1.0])
        >>> new, m = bop(gradient, theta, tf.zeros(2), gamma=0.5, threshold=0.1)
        >>> new.numpy().tolist(), m.numpy().tolist()
        ([-1.0, 1.0], [0.25, -1.0])
    """
    m = average(m, tf.cast(gradient, m.dtype), gamma)
    return tf.cast(flip_where_above(theta, m, threshold), theta.dtype), m


def bop_second_order(
    gradient: tf.Tensor,
    theta: Weights,
    m: tf.Tensor,
    v: tf.Tensor,
    *,
    gamma: Scalar,
    sigma: Scalar,
    threshold: Scalar,
    epsilon: float = 1e-10,
    unbias: tuple[Scalar, Scalar] = (1.0, 1.0),
) -> tuple[Weights, tf.Tensor, tf.Tensor]:
    """One step of second-order Bop (Suarez-Ramirez et al., 2021).

        m = (1 - gamma) m + gamma gradient
        v = (1 - sigma) v + sigma gradient^2
        theta = -theta where theta m / (sqrt(v) + epsilon) > threshold

    Args:
        gradient: Gradient, same shape as theta.
        theta: Current weights.
        m: Average of gradients.
        v: Average of their squares.
        gamma: Weight of the newest gradient in m, in (0, 1].
        sigma: Weight of the newest square in v, in (0, 1].
        threshold: Quotient above which a weight flips, at least 0.
        epsilon: Keeps the quotient finite.
        unbias: Divisors of m and v for the unbiased form, see `bias`.

    Returns:
        New theta, m and v.

    Example:
        >>> gradient, theta = tf.constant([0.5, -2.0]), tf.constant([1.0, 1.0])
        >>> new, m, v = bop_second_order(gradient, theta, tf.zeros(2), tf.zeros(2),
        ...     gamma=0.5, sigma=0.5, threshold=0.1)
        >>> new.numpy().tolist(), m.numpy().tolist(), v.numpy().tolist()
        ([-1.0, 1.0], [0.25, -1.0], [0.125, 2.0])
    """
    gradient = tf.cast(gradient, m.dtype)
    m = average(m, gradient, gamma)
    v = average(v, gradient * gradient, sigma)
    m_scale, v_scale = (_scalar(scale, m.dtype) for scale in unbias)
    quotient = (m / m_scale) / (tf.sqrt(v / v_scale) + _scalar(epsilon, m.dtype))
    return tf.cast(flip_where_above(theta, quotient, threshold), theta.dtype), m, v


def bias(weight: Scalar, step: tf.Tensor) -> tf.Tensor:
    """Returns 1 - (1 - weight)^step, the filled share of an average that began at 0.

    Computed by expm1 and log1p: 1 - 1e-7 alone has lost most of its digits in float32.

    Args:
        weight: Weight of the newest value in the average, in (0, 1).
        step: Number of values so far, float.

    Returns:
        The share, of the step's dtype.

    Example:
        >>> round(float(bias(0.5, tf.constant(2.0))), 6)
        0.75
    """
    return -tf.math.expm1(step * tf.math.log1p(-_scalar(weight, step.dtype)))
