"""Narrow networks of the papers' families, which two cores train in a minute.

Each is a network of `zoo_extensions` by its options, as fields of a recipe. Images of
28x28 pixels become maps of 7x7 in the stem (14x14 in that of BNext), and of 4x4 or less
at the end. The stem of the dense networks and ResNetE is the 7x7 convolution: the
grouped one of paper 002 takes ten times as long to train on CPUs.
"""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    "model": "tiny_residual_bnn",
    "model_options": {"filters": [16, 32, 64]},
}
BNEXT_DAGGER: dict[str, Any] = {
    "model": "bnext18",
    "model_options": {
        "squeeze_excite": False,
        "blocks": [1, 1, 1],
        "filters": [32, 64, 64],
    },
}
RESNET_E: dict[str, Any] = {
    "model": "resnet_e18",
    "model_options": {
        "stem": "conv7x7",
        "blocks": [2, 2, 2],
        "filters": [16, 32, 64],
    },
}
# The first and the last binary convolution of RESNET_E.
RESNET_E_FIRST = "stage_0_block_0_binconv"
RESNET_E_LAST = "stage_2_block_1_binconv"
_DENSE = {"stem": "conv7x7", "stem_filters": 16, "growth": 16, "transitions": [32]}
# Both append and improve 16 channels by binary convolutions; with them 2.0e5 and 2.1e5
# operations and 46,080 binary weights.
MELIUS: dict[str, Any] = {
    "model": "meliusnet22",
    "model_options": {**_DENSE, "blocks": [2, 2]},
}
DENSE: dict[str, Any] = {
    "model": "binary_densenet28",
    "model_options": {**_DENSE, "blocks": [3, 4]},
}
