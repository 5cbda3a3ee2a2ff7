"""The audit of a .tflite: its binary and int8 layers, and why others stayed float."""
