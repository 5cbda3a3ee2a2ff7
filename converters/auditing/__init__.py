"""Which layers of a .tflite file are binary or int8, and why others are not."""
