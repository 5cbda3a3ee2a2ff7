"""Running a .tflite with binary layers. Imports nothing else of `converters`."""

from converters.runtime.host import host_description
from converters.runtime.interpreter import Interpreter
from converters.runtime.operator_times import OperatorTime
from converters.runtime.tensor_info import TensorInfo, tensor_info
from converters.runtime.tflite_file import Operator, TfliteFile

__all__ = [
    "Interpreter",
    "Operator",
    "OperatorTime",
    "TensorInfo",
    "TfliteFile",
    "host_description",
    "tensor_info",
]
