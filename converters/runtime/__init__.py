"""Running a .tflite with binary layers; it imports nothing else of `converters`."""

from converters.runtime.host import machine
from converters.runtime.interpreter import (
    Interpreter,
    OperatorTime,
    TensorInfo,
    tensor_info,
)
from converters.runtime.tflite_file import Operator, TfliteFile

__all__ = [
    "Interpreter",
    "Operator",
    "OperatorTime",
    "TensorInfo",
    "TfliteFile",
    "machine",
    "tensor_info",
]
