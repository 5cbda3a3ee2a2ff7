"""Published figures of the papers as data, with their known misprints.

Sources, as named in `PublishedFigures.source`:

- paper 001: "Understanding weight-magnitude hyperparameters in training binary
  networks" (Quist et al.), tables 2 and 3.
- paper 002: "MeliusNet: can binary neural networks achieve MobileNet-level accuracy?"
  (Bethge et al.), tables 1 to 4.
- paper 003: "Enhancing optimization robustness in 1-bit neural networks through
  stochastic sign descent" (Guo et al.), table 1.
- BMXNet-v2 wiki: the authors of paper 002 on their own runs,
  github.com/hpi-xnor/BMXNet-v2-wiki, page CurrentBestResults.
- BNext README: github.com/hpi-xnor/BNext.

Accuracies of 32-bit and other networks are as these papers quote them. Table 1 of paper
003 prints a binary ratio too, which follows from its other columns. No figures of
ReActNet-B and -C are in these sources, so there are none here.
"""

from zoo_extensions.figures.lookup import PUBLISHED, published
from zoo_extensions.figures.rows import (
    COUNTED,
    Comparison,
    Correction,
    PublishedFigures,
)
from zoo_extensions.figures.units import ReportedValue

__all__ = [
    "COUNTED",
    "PUBLISHED",
    "Comparison",
    "Correction",
    "PublishedFigures",
    "ReportedValue",
    "published",
]
