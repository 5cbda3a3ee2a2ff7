"""Quantization of the real-valued layers to int8."""
