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


def bireal(**options: Any) -> dict[str, Any]:
    """Returns the options of the small Bi-Real network with further ones."""
    return {"model_options": {**SMALL_BIREAL["model_options"], **options}}
