"""Lowering of a graph to the operators of a .tflite."""
