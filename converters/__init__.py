"""Verified conversion of Keras models to .tflite files with binary kernels.

`import converters` is light: each name is imported from its file when it is first used,
and TensorFlow and Larq Compute Engine with it where it needs them.
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from _larq_bnnopt_keras import use_keras_2

if TYPE_CHECKING:
    from converters.auditing.audit import Audit as Audit
    from converters.auditing.audit import audit as audit
    from converters.conversion import Conversion as Conversion
    from converters.conversion import NotEquivalentError as NotEquivalentError
    from converters.conversion import convert as convert
    from converters.errors import ConversionError as ConversionError
    from converters.exporting import BinaryWeights as BinaryWeights
    from converters.exporting import export_binary_weights as export_binary_weights
    from converters.packages.array_input import ArrayInput as ArrayInput
    from converters.packages.classifying import Classifier as Classifier
    from converters.packages.classifying import Prediction as Prediction
    from converters.packages.classifying import image_shape as image_shape
    from converters.packages.classifying import number_of_classes as number_of_classes
    from converters.packages.packaging import package as package
    from converters.packages.preprocessing import IMAGE_SUFFIXES as IMAGE_SUFFIXES
    from converters.packages.preprocessing import Preprocessing as Preprocessing
    from converters.packages.preprocessing import (
        decode_by_tensorflow as decode_by_tensorflow,
    )
    from converters.packages.replaying import Replay as Replay
    from converters.packages.replaying import is_package as is_package
    from converters.packages.replaying import package_classes as package_classes
    from converters.packages.replaying import package_model as package_model
    from converters.packages.replaying import replay as replay
    from converters.packages.replaying import takes_texts as takes_texts
    from converters.packages.text_input import TextInput as TextInput
    from converters.profiling import Profile as Profile
    from converters.profiling import profile as profile
    from converters.reports import Report as Report
    from converters.runtime import Interpreter as Interpreter
    from converters.verification.result import Verification as Verification
    from converters.verification.verify import verify as verify

# What a name needs: any Keras will do, ours must be Keras 2, or TensorFlow is needed.
_ANY, _KERAS_2, _MODEL = "any Keras", "Keras 2", "a Keras model"

# Public name -> its module, and what it needs.
_PUBLIC = {
    "ArrayInput": ("packages.array_input", _ANY),
    "Audit": ("auditing.audit", _KERAS_2),
    "BinaryWeights": ("exporting", _MODEL),
    "Classifier": ("packages.classifying", _ANY),
    "Conversion": ("conversion", _MODEL),
    "ConversionError": ("errors", _KERAS_2),
    "IMAGE_SUFFIXES": ("packages.preprocessing", _ANY),
    "Interpreter": ("runtime", _ANY),
    "NotEquivalentError": ("conversion", _MODEL),
    "Prediction": ("packages.classifying", _ANY),
    "Preprocessing": ("packages.preprocessing", _ANY),
    "Profile": ("profiling", _ANY),
    "Replay": ("packages.replaying", _ANY),
    "Report": ("reports", _MODEL),
    "TextInput": ("packages.text_input", _ANY),
    "Verification": ("verification.result", _MODEL),
    "audit": ("auditing.audit", _KERAS_2),
    "convert": ("conversion", _MODEL),
    "decode_by_tensorflow": ("packages.preprocessing", _ANY),
    "export_binary_weights": ("exporting", _MODEL),
    "image_shape": ("packages.classifying", _ANY),
    "is_package": ("packages.replaying", _ANY),
    "number_of_classes": ("packages.classifying", _ANY),
    "package": ("packages.packaging", _MODEL),
    "package_classes": ("packages.replaying", _ANY),
    "package_model": ("packages.replaying", _ANY),
    "profile": ("profiling", _ANY),
    "replay": ("packages.replaying", _ANY),
    "takes_texts": ("packages.replaying", _ANY),
    "verify": ("verification.verify", _MODEL),
}

__all__ = list(_PUBLIC)

try:
    use_keras_2()
except ImportError as _error:
    _wrong_keras: ImportError | None = _error
else:
    _wrong_keras = None


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, needs = _PUBLIC[name]
    if needs == _MODEL and importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            f"converters.{name} needs the Keras model, and TensorFlow is not "
            "installed. Files run without it: Interpreter, profile, replay."
        )
    if needs != _ANY and _wrong_keras is not None:
        raise ImportError(*_wrong_keras.args)
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
