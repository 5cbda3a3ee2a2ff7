"""Image classification data as tf.data pipelines that repeat exactly."""

from larq_bnnopt.datasets.augmentation import Augmentation
from larq_bnnopt.datasets.loading import Dataset, load

__all__ = ["Augmentation", "Dataset", "load"]
