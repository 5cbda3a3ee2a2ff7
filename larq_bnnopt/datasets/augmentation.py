"""Augmentation of image batches: random crops and mirror images from a seed."""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random crops of padded images and random mirror images.

    Attributes:
        padding: Pixels of `fill` added on each side before a crop of the original size
            is taken at random. Defaults to `0`, no crop.
        mirror: Whether half of the images are mirrored left to right. Defaults to
            `False`.
        fill: Value of the added pixels. Defaults to `-1.0`, black.

    Example:
        >>> images = tf.reshape(tf.range(8.0), (1, 2, 4, 1))
        >>> augment = Augmentation(mirror=True)
        >>> [augment(images, tf.constant([0, s]))[0, 0, :, 0].numpy().tolist()
        ...  for s in (7, 0)]
        [[0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]]
    """

    padding: int = 0
    mirror: bool = False
    fill: float = -1.0

    def __call__(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Augments a batch of images.

        Args:
            images: Float images, (batch, height, width, channels).
            seed: Two integers; equal seeds give equal results.

        Returns:
            Images of the same shape.
        """
        crop_seed, mirror_seed = tf.unstack(
            tf.random.experimental.stateless_split(seed)
        )
        if self.padding:
            images = self._crop(images, crop_seed)
        if self.mirror:
            draw = tf.random.stateless_uniform(
                (tf.shape(images)[0], 1, 1, 1), mirror_seed
            )
            images = tf.where(draw < 0.5, tf.reverse(images, [2]), images)
        return images

    def _crop(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        batch, height, width = tf.unstack(tf.shape(images)[:3])
        edge = [self.padding, self.padding]
        padded = tf.pad(images, [[0, 0], edge, edge, [0, 0]], constant_values=self.fill)
        offsets = tf.random.stateless_uniform(
            (2, batch, 1), seed, 0, 2 * self.padding + 1, tf.int32
        )
        rows, columns = offsets[0] + tf.range(height), offsets[1] + tf.range(width)
        cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
        cropped = tf.gather(cropped, columns, axis=2, batch_dims=1)
        return tf.ensure_shape(cropped, images.shape)
