"""Image classification data as tf.data pipelines that repeat exactly."""

from larq_bnnopt.datasets.augmentation import Augmentation
from larq_bnnopt.datasets.dataset import EMBEDDED, Dataset, ImageShape
from larq_bnnopt.datasets.downloads import NotDownloadedError
from larq_bnnopt.datasets.loading import load
from larq_bnnopt.datasets.records import write_records

__all__ = [
    "EMBEDDED",
    "Augmentation",
    "Dataset",
    "ImageShape",
    "NotDownloadedError",
    "load",
    "write_records",
]
