"""Data sets as tf.data pipelines that repeat exactly."""

from larq_bnnopt.datasets.array_records import array_record
from larq_bnnopt.datasets.augmentation import Augmentation
from larq_bnnopt.datasets.dataset import (
    ARRAYS,
    CLASSIFICATION,
    EMBEDDED,
    IMAGES,
    REGRESSION,
    SOUNDS,
    TEXTS,
    Dataset,
    ImageShape,
)
from larq_bnnopt.datasets.downloads import NotDownloadedError
from larq_bnnopt.datasets.loading import kind_of, load
from larq_bnnopt.datasets.records import write_records
from larq_bnnopt.datasets.sound_features import SoundSettings, sound_windows
from larq_bnnopt.datasets.statistics import channel_statistics
from larq_bnnopt.datasets.token_source import require_vocabulary
from larq_bnnopt.datasets.tokenizing import Tokenizer

__all__ = [
    "ARRAYS",
    "CLASSIFICATION",
    "EMBEDDED",
    "IMAGES",
    "REGRESSION",
    "SOUNDS",
    "TEXTS",
    "Augmentation",
    "Dataset",
    "ImageShape",
    "NotDownloadedError",
    "SoundSettings",
    "Tokenizer",
    "array_record",
    "channel_statistics",
    "kind_of",
    "load",
    "require_vocabulary",
    "sound_windows",
    "write_records",
]
