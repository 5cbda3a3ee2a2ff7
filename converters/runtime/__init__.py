"""Running a .tflite with binary layers; it imports nothing else of `converters`."""

from converters.runtime.interpreter import Interpreter, TensorInfo, tensor_info
from converters.runtime.tflite_file import Operator, TfliteFile

__all__ = ["Interpreter", "Operator", "TensorInfo", "TfliteFile", "tensor_info"]
