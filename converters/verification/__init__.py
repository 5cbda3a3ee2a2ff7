"""Comparison of a .tflite file with the model it was made of."""
