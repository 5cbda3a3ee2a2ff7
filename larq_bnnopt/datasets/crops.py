"""Random resized crops and center crops of encoded images of any size.

Crops and color jitter are functions of a seed.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from larq_bnnopt.datasets.checking import decoded
from larq_bnnopt.datasets.colors import jittered

# The side of the center crop of a test image, as in most papers: 224 of 256 pixels.
CENTER = 224 / 256


@dataclasses.dataclass(frozen=True)
class Crops:
    """Decodes images and crops them to one size: at random, or their center.

    Attributes:
        size: `(height, width)` of the result.
        channels: 1 or 3.
        min_area: The least share of an image that a random crop keeps, in (0, 1].
            Defaults to `0.08`, as for ImageNet; small data sets want more.
        color_jitter: How far brightness, contrast and saturation may change, as a
            share. Defaults to `0.0`, not at all.
    """

    size: tuple[int, int]
    channels: int = 3
    min_area: float = 0.08
    color_jitter: float = 0.0

    def random(self, encoded: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns a random resized crop of an image, with color jitter.

        Args:
            encoded: The content of a JPEG, PNG, GIF or BMP file.
            seed: Two integers; equal seeds give equal crops.

        Returns:
            Float32 image in [0, 255], (height, width, channels).
        """
        image = self._decoded(encoded)
        crop_seed, *seeds = tf.unstack(
            tf.random.experimental.stateless_split(seed, 4), num=4
        )
        start, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros((1, 0, 4)),
            crop_seed,
            aspect_ratio_range=(3 / 4, 4 / 3),
            area_range=(self.min_area, 1.0),
            use_image_if_no_bounding_boxes=True,
        )
        image = self._resized(tf.slice(image, start, extent))
        if self.color_jitter:
            image = self._jittered(image, seeds)
        return image

    def center(self, encoded: tf.Tensor) -> tf.Tensor:
        """Returns the resized center crop of an image.

        Args:
            encoded: As for `random`.

        Returns:
            As for `random`.
        """
        image = self._decoded(encoded)
        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        aim = tf.constant(self.size, tf.float32)
        # 7/8 of the largest crop with the aspect ratio of the result.
        extent = tf.cast(CENTER * tf.reduce_min(shape / aim) * aim, tf.int32)
        extent = tf.maximum(extent, 1)
        start = (tf.shape(image)[:2] - extent) // 2
        image = tf.slice(
            image, tf.concat([start, [0]], 0), tf.concat([extent, [-1]], 0)
        )
        return self._resized(image)

    def _decoded(self, encoded: tf.Tensor) -> tf.Tensor:
        return decoded(encoded, self.channels)

    def _resized(self, image: tf.Tensor) -> tf.Tensor:
        image = tf.image.resize(image, self.size, antialias=True)
        return tf.ensure_shape(image, (*self.size, self.channels))

    def _jittered(self, image: tf.Tensor, seeds: list[tf.Tensor]) -> tf.Tensor:
        low, high = 1 - self.color_jitter, 1 + self.color_jitter
        factors = [tf.random.stateless_uniform((), seed, low, high) for seed in seeds]
        return jittered(image, factors)
