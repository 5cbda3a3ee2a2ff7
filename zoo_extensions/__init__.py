"""Binary networks of recent papers, defined as larq-zoo would define them."""

from _larq_bnnopt_start import use_keras_2

use_keras_2()

from zoo_extensions import initializers  # noqa: E402  (Keras 2 must be chosen first)
from zoo_extensions.counting import OpCount, count_ops  # noqa: E402
from zoo_extensions.figures import PublishedFigures, published  # noqa: E402
from zoo_extensions.registry import create_model, list_models  # noqa: E402
from zoo_extensions.tables import ModelTable, model_table  # noqa: E402
from zoo_extensions.tiny_residual import TinyResidualBNN  # noqa: E402

__all__ = [
    "ModelTable",
    "OpCount",
    "PublishedFigures",
    "TinyResidualBNN",
    "count_ops",
    "create_model",
    "initializers",
    "list_models",
    "model_table",
    "published",
]
