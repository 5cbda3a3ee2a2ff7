"""Conversion of Keras models to .tflite with binary kernels, with proof."""

from _larq_bnnopt_keras import use_keras_2

use_keras_2()
