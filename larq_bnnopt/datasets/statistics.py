"""Mean and standard deviation of each channel of a data set's training inputs."""

from __future__ import annotations

import numpy as np

from larq_bnnopt.datasets.dataset import IMAGES, TEXTS, Dataset

# Of ImageNet's pixels in [0, 1], as published and as most papers take them.
_PUBLISHED = {"imagenet2012": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
# Images of any size are decoded for it.
_MOST_CROPS = 10_000


def channel_statistics(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    r"""Returns mean and standard deviation of each channel, as a model sees inputs.

    \[ \mu_c = \frac{1}{n} \sum_i x_{ic}, \quad
    \sigma_c = \sqrt{\frac{1}{n} \sum_i (x_{ic} - \mu_c)^2} \]

    over all training inputs and all their places but the last axis, in float64. Of
    images of any size 10,000 center crops stand for all; of `"imagenet2012"` the
    published numbers are taken.

    Args:
        data: The data set, loaded without augmentation.

    Returns:
        Both, (channels,). A channel of one value alone has the standard deviation 1.

    Example:
        >>> from larq_bnnopt import datasets
        >>> data = datasets.load("fashion_mnist_mini", augment=False)
        >>> mean, deviation = channel_statistics(data)
        >>> mean.shape, bool(-1 < mean[0] < 0 < deviation[0] < 1)
        ((1,), True)
    """
    if data.kind == TEXTS:
        raise ValueError(f"{data.name} holds texts, whose tokens have no channels.")
    bare = data.name.partition(":")[0].partition("/")[0]
    if bare in _PUBLISHED:
        mean, deviation = map(np.array, _PUBLISHED[bare])
        # From pixels in [0, 1] to [-1, 1].
        return 2 * mean - 1, 2 * deviation
    steps = data.steps_per_epoch
    if data.kind == IMAGES and data.stored_size is not None:
        steps = min(steps, -(-_MOST_CROPS // data.batch_size))
    count, sums, squares = 0, np.zeros(()), np.zeros(())
    shift: np.ndarray | None = None
    with data.faults_named():
        for inputs, _ in data.train_from(0).take(steps).as_numpy_iterator():
            flat = inputs.reshape(-1, inputs.shape[-1]).astype(np.float64)
            if shift is None:  # Near the mean, so that no digits cancel.
                shift = flat.mean(axis=0)
            flat -= shift
            count += len(flat)
            sums = sums + flat.sum(axis=0)
            squares = squares + np.square(flat).sum(axis=0)
    if shift is None:
        raise ValueError(f"{data.name} has no training inputs.")
    offset = sums / count
    variance = np.maximum(squares / count - np.square(offset), 0)
    # What rounding leaves of one value.
    tiny = variance <= 1e-12 * np.maximum(np.square(shift + offset), 1e-12)
    return shift + offset, np.sqrt(np.where(tiny, 1.0, variance))
