"""Networks and data that studies share, small enough for two cores."""

from __future__ import annotations

from typing import Any

# Bi-RealNet-20 has blocks of (6, 6, 6).
SMALL_BIREAL: dict[str, Any] = {
    "model": "birealnet20",
    "model_options": {"blocks": [1, 1, 1]},
    "batch_size": 64,
    "augment": False,
}
# SGD as paper 001 trains real-valued weights in its section 4.
RATES: dict[str, Any] = {"learning_rate": 0.1, "momentum": 0.9}
SGD: dict[str, Any] = {**RATES, "weight_decay": 1e-4}
FILTER: dict[str, Any] = {
    "optimizer": "gradient_filter",
    "real_optimizer": "sgd",
    **SGD,
}
PAPER_001 = (
    "Bi-RealNet-20 on CIFAR-10 with SGD, a learning rate of 0.1, momentum 0.9, weight "
    "decay 1e-4 and batches of 256"
)

ON_FASHION_MNIST: dict[str, Any] = {"dataset": "fashion_mnist", "augment": False}

# Narrow networks of the families. Images of 28x28 pixels become maps of 7x7 in the
# stem, or of 14x14 in that of TINY and BNEXT_DAGGER. ResNetE and the dense networks
# have the 7x7 convolution there: the grouped stem of paper 002 trains ten times as long
# on CPUs.
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


def bireal(**options: Any) -> dict[str, Any]:
    """Returns the options of the small Bi-Real network with further ones."""
    return {"model_options": {**SMALL_BIREAL["model_options"], **options}}
