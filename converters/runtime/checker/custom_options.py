"""The options of custom operators, which native code reads without checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAX_BYTES = 2**12
# The positive options of Larq Compute Engine's operators, which divide by some of them.
_WINDOW = ("filter_height", "filter_width", "stride_height", "stride_width")
_CONVOLUTION = (
    "channels_in",
    "stride_height",
    "stride_width",
    "dilation_height_factor",
    "dilation_width_factor",
)
_POSITIVE: dict[str, tuple[str, ...]] = {
    "LceQuantize": (),
    "LceDequantize": (),
    "LceBMaxPool2d": _WINDOW,
    "LceBconv2d": _CONVOLUTION,
}
# Its enumerations: Larq Compute Engine takes an unknown padding or activation for a
# known one, and computes.
_CHOICES: dict[str, dict[str, tuple[int, ...]]] = {
    "LceBconv2d": {
        "padding": (0, 1),
        "pad_values": (0, 1),
        "fused_activation_function": (0, 1, 2, 3),
    },
    "LceBMaxPool2d": {"padding": (0, 1)},
}
# Custom operators of LiteRT itself that read options.
_OF_LITERT = ("TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram")
_MAX_OPTION = 2**20


def checked_custom_options(name: str, content: bytes) -> Mapping[str, Any]:
    """Returns the options of an operator that has some; refuses damaged ones.

    Args:
        name: Name of the custom operator.
        content: Its options, a flexbuffer.
    """
    if name not in (*_POSITIVE, *_OF_LITERT):
        return {}  # No interpreter here has it.
    if not content and not _POSITIVE.get(name, True):
        return {}
    options = _read(name, content)
    for key in _POSITIVE.get(name, ()):
        number = options.get(key)
        if not isinstance(number, int) or not 0 < number <= _MAX_OPTION:
            raise ValueError(f"option {key} of {name} is {number!r}")
    for key, known in _CHOICES.get(name, {}).items():
        if options.get(key) not in known:
            raise ValueError(
                f"option {key} of {name} is {options.get(key)!r}, none of {known}"
            )
    return options


def _read(name: str, content: bytes) -> Mapping[str, Any]:
    from flatbuffers import flexbuffers

    if len(content) > _MAX_BYTES:
        raise ValueError(f"{name} has {len(content):,} bytes of options")
    try:
        options = flexbuffers.Loads(content)
    except Exception as error:  # The reader raises what it likes.
        raise ValueError(f"the options of {name} are damaged: {error}") from error
    if not isinstance(options, Mapping):
        raise ValueError(f"the options of {name} are not named")
    return options
