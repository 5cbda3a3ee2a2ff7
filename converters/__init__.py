"""Conversion of Keras models to .tflite with binary kernels, with proof.

`import converters` is light: TensorFlow and Larq Compute Engine are imported by the
functions that need them.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from _larq_bnnopt_keras import use_keras_2

# What runs files needs no Keras, and works beside any.
_WITHOUT_KERAS = (
    "IMAGE_SUFFIXES",
    "Classifier",
    "Interpreter",
    "Prediction",
    "Preprocessing",
    "Profile",
    "Replay",
    "decode_by_tensorflow",
    "image_shape",
    "is_package",
    "number_of_classes",
    "package_model",
    "profile",
    "replay",
)
_NEED_KERAS = ("convert", "export_binary_weights", "verify")
try:
    use_keras_2()
except ImportError as _error:
    _wrong_keras: ImportError | None = _error
else:
    _wrong_keras = None

if TYPE_CHECKING:
    from converters.auditing.audit import Audit, audit
    from converters.conversion import Conversion, convert
    from converters.errors import ConversionError
    from converters.exporting import BinaryWeights, export_binary_weights
    from converters.packages.classifying import (
        Classifier,
        Prediction,
        image_shape,
        number_of_classes,
    )
    from converters.packages.packaging import package
    from converters.packages.preprocessing import (
        IMAGE_SUFFIXES,
        Preprocessing,
        decode_by_tensorflow,
    )
    from converters.packages.replaying import (
        Replay,
        is_package,
        package_model,
        replay,
    )
    from converters.profiling import Profile, profile
    from converters.reports import Report
    from converters.runtime import Interpreter
    from converters.verification.verify import Verification, verify

_HOMES = {
    "Audit": "auditing.audit",
    "BinaryWeights": "exporting",
    "Classifier": "packages.classifying",
    "Conversion": "conversion",
    "ConversionError": "errors",
    "IMAGE_SUFFIXES": "packages.preprocessing",
    "Interpreter": "runtime",
    "Prediction": "packages.classifying",
    "Preprocessing": "packages.preprocessing",
    "Profile": "profiling",
    "Replay": "packages.replaying",
    "Report": "reports",
    "Verification": "verification.verify",
    "audit": "auditing.audit",
    "convert": "conversion",
    "decode_by_tensorflow": "packages.preprocessing",
    "export_binary_weights": "exporting",
    "image_shape": "packages.classifying",
    "is_package": "packages.replaying",
    "number_of_classes": "packages.classifying",
    "package": "packages.packaging",
    "package_model": "packages.replaying",
    "profile": "profiling",
    "replay": "packages.replaying",
    "verify": "verification.verify",
}

__all__ = [
    "IMAGE_SUFFIXES",
    "Audit",
    "BinaryWeights",
    "Classifier",
    "Conversion",
    "ConversionError",
    "Interpreter",
    "Prediction",
    "Preprocessing",
    "Profile",
    "Replay",
    "Report",
    "Verification",
    "audit",
    "convert",
    "decode_by_tensorflow",
    "export_binary_weights",
    "image_shape",
    "is_package",
    "number_of_classes",
    "package",
    "package_model",
    "profile",
    "replay",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        if name in _NEED_KERAS and importlib.util.find_spec("tensorflow") is None:
            raise ImportError(
                f"converters.{name} needs the Keras model, and TensorFlow is not "
                "installed. Files run without it: Interpreter, profile, replay."
            )
        if _wrong_keras is not None and name not in _WITHOUT_KERAS:
            raise _wrong_keras
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
