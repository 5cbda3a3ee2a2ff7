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
    "Classifier",
    "Interpreter",
    "Prediction",
    "Preprocessing",
    "Profile",
    "Replay",
    "is_package",
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
    from converters.packages.classifying import Classifier, Prediction
    from converters.packages.packaging import package
    from converters.packages.preprocessing import Preprocessing
    from converters.packages.replaying import Replay, is_package, replay
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
    "Interpreter": "runtime",
    "Prediction": "packages.classifying",
    "Preprocessing": "packages.preprocessing",
    "Profile": "profiling",
    "Replay": "packages.replaying",
    "Report": "reports",
    "Verification": "verification.verify",
    "audit": "auditing.audit",
    "convert": "conversion",
    "export_binary_weights": "exporting",
    "is_package": "packages.replaying",
    "package": "packages.packaging",
    "profile": "profiling",
    "replay": "packages.replaying",
    "verify": "verification.verify",
}

__all__ = [
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
    "export_binary_weights",
    "is_package",
    "package",
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
