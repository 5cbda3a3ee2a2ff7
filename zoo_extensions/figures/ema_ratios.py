"""Table 3 of paper 003: accuracy of BNext-18 dagger by the EMA ratios of Diode."""

from __future__ import annotations

# Top-1 accuracy in percent on CIFAR-100 by (alpha, beta), the ratios of equations 10
# and 12.
EMA_RATIOS: dict[tuple[float, float], float] = {
    (0.9, 0.999): 71.57,
    (0.9, 0.9999): 73.92,
    (0.95, 0.999): 72.07,
    (0.95, 0.9999): 74.06,
    (0.99, 0.999): 72.01,
    (0.99, 0.9999): 74.51,
}
