"""Random changes of the colors of images: jitter, PCA noise and HSV jitter.

Each is a function of images and of drawn numbers, so that formulas can be checked.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

# Eigenvalues and eigenvectors (in columns) of the colors of ImageNet's pixels in
# [0, 1], as published with AlexNet-style training scripts.
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
# The rows of one batch that draw numbers of their own.
_JITTER, _HSV, _PCA = 2, 3, 4


def jittered(images: tf.Tensor, factors: list[tf.Tensor]) -> tf.Tensor:
    r"""Changes brightness, contrast and, of colors, saturation.

    \[ x_1 = f_1 x, \quad x_2 = \bar{x}_1 + f_2 (x_1 - \bar{x}_1), \quad
    x_3 = g + f_3 (x_2 - g) \]

    with the mean of an image over pixels and channels, and the grey g of a pixel,
    0.2989 R + 0.5870 G + 0.1140 B; clipped to [0, 255].

    Args:
        images: Float images in [0, 255], (..., height, width, channels).
        factors: The three factors, each a number or (batch, 1, 1, 1).

    Returns:
        The images.

    Example:
        >>> image = tf.constant([[[10.0], [30.0]]])
        >>> jittered(image, [2.0, 0.5, 1.0])[0, :, 0].numpy().tolist()
        [30.0, 50.0]
    """
    images *= factors[0]
    mean = tf.reduce_mean(images, axis=[-3, -2, -1], keepdims=True)
    images = mean + factors[1] * (images - mean)
    if images.shape[-1] == 3:
        grey = tf.image.rgb_to_grayscale(images)
        images = grey + factors[2] * (images - grey)
    return tf.clip_by_value(images, 0.0, 255.0)


def hsv_jittered(
    images: tf.Tensor, turn: tf.Tensor, saturation: tf.Tensor, value: tf.Tensor
) -> tf.Tensor:
    r"""Changes hue, saturation and value.

    \[ h' = (h + t) \bmod 1, \quad s' = \min(f_s s, 1), \quad v' = \min(f_v v, 1) \]

    Args:
        images: Float images in [0, 255], (batch, height, width, 3).
        turn: t, a share of the circle of hues, (batch, 1, 1).
        saturation: Factor of s, (batch, 1, 1).
        value: Factor of v, (batch, 1, 1).

    Returns:
        The images.

    Example:
        >>> red = tf.constant([[[[200.0, 0.0, 0.0]]]])
        >>> third = tf.reshape(1 / 3, (1, 1, 1))
        >>> one = tf.ones((1, 1, 1))
        >>> hsv_jittered(red, third, one, one).numpy().round().tolist()
        [[[[0.0, 200.0, 0.0]]]]
    """
    hue, share, bright = tf.unstack(tf.image.rgb_to_hsv(images / 255.0), axis=-1)
    hue = tf.math.floormod(hue + turn, 1.0)
    share = tf.minimum(share * saturation, 1.0)
    bright = tf.minimum(bright * value, 1.0)
    return 255.0 * tf.image.hsv_to_rgb(tf.stack([hue, share, bright], axis=-1))


def with_pca_noise(images: tf.Tensor, alphas: tf.Tensor) -> tf.Tensor:
    r"""Adds noise along the principal components of ImageNet's colors.

    \[ x' = x + 255 \sum_i \alpha_i \lambda_i p_i \]

    with the eigenvalues and eigenvectors of the covariance of red, green and blue;
    clipped to [0, 255].

    Args:
        images: Float images in [0, 255], (batch, height, width, 3).
        alphas: One number for each component, (batch, 3).

    Returns:
        The images.

    References:
        Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural
        Networks" (2012), section 4.1.
    """
    components = tf.constant(_EIGENVECTORS) * tf.constant(_EIGENVALUES)
    noise = 255.0 * tf.linalg.matmul(alphas, components, transpose_b=True)
    noise = noise[:, tf.newaxis, tf.newaxis, :]
    return tf.clip_by_value(images + noise, 0.0, 255.0)


@dataclasses.dataclass(frozen=True)
class Colors:
    """Random colors of image batches, each image with numbers of its own.

    Attributes:
        jitter: Brightness, contrast and saturation change by factors that are uniform
            in [1 - jitter, 1 + jitter]. Defaults to `0.0`, not at all.
        hsv: The hue turns by a share of the circle that is uniform in [-hsv, hsv];
            saturation and value change by factors in [1 - hsv, 1 + hsv]. Defaults to
            `0.0`.
        pca: Standard deviation of each alpha of `with_pca_noise`. Defaults to `0.0`.

    Example:
        >>> images = tf.zeros((2, 4, 4, 3))
        >>> same = Colors()(images, tf.constant([0, 1]))
        >>> bool(tf.reduce_all(same == images))
        True
    """

    jitter: float = 0.0
    hsv: float = 0.0
    pca: float = 0.0

    @property
    def needs_colors(self) -> bool:
        """Whether images of one channel cannot be changed so."""
        return bool(self.hsv or self.pca)

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Changes the colors of a batch of images.

        Args:
            images: Float images in [-1, 1], (batch, height, width, channels).
            seed: Two integers; equal seeds give equal results.

        Returns:
            Images of the same shape in [-1, 1].
        """
        if not (self.jitter or self.hsv or self.pca):
            return images
        pixels, count = (images + 1.0) * 127.5, tf.shape(images)[0]

        def around(base: float, spread: float, index: int, *shape: int) -> tf.Tensor:
            # Numbers that crops and mirror images do not use.
            own = tf.random.experimental.stateless_fold_in(seed, index)
            return tf.random.stateless_uniform(
                (3, count, *shape), own, base - spread, base + spread
            )

        if self.jitter:
            factors = around(1.0, self.jitter, _JITTER, 1, 1, 1)
            pixels = jittered(pixels, tf.unstack(factors, num=3))
        if self.hsv:
            turn, saturation, value = tf.unstack(
                around(0.0, self.hsv, _HSV, 1, 1), num=3
            )
            pixels = hsv_jittered(pixels, turn, 1 + saturation, 1 + value)
        if self.pca:
            own = tf.random.experimental.stateless_fold_in(seed, _PCA)
            alphas = tf.random.stateless_normal((count, 3), own, stddev=self.pca)
            pixels = with_pca_noise(pixels, alphas)
        return tf.ensure_shape(pixels / 127.5 - 1.0, images.shape)
