"""Checks of a .tflite before native code sees it."""
