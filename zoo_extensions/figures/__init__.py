"""Published figures of the papers as data, with their known misprints.

Sources, as named in `PublishedFigures.source`:

- paper 001: "Understanding weight-magnitude hyperparameters in training binary
  networks" (Quist et al.), tables 2 and 3.
- paper 002: "MeliusNet: can binary neural networks achieve MobileNet-level accuracy?"
  (Bethge et al.), tables 1 to 4, figures 3 and 6.
- paper 003: "Enhancing optimization robustness in 1-bit neural networks through
  stochastic sign descent" (Guo et al.), table 1. Its tables 2 and 3 are `GLUE` and
  `EMA_RATIOS`: BERT and an ablation of Diode.
- BMXNet-v2 wiki: the authors of paper 002 on their own runs,
  github.com/hpi-xnor/BMXNet-v2-wiki, page CurrentBestResults.
- BNext README: github.com/hpi-xnor/BNext.
- PokeBNN: "PokeBNN: a binary pursuit of lightweight accuracy" (Zhang et al., CVPR
  2022), whose abstract prints two networks with their ACE.

Accuracies of 32-bit and other networks are as these papers quote them. `GAINS` are the
differences that tables 2 and 4 of paper 002 print. No figures of
ReActNet-B and -C are in these sources, so there are none here.
"""

from zoo_extensions.figures.ema_ratios import EMA_RATIOS
from zoo_extensions.figures.gains import GAINS, Gain
from zoo_extensions.figures.glue import GLUE, TASKS, GlueRow
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
    "EMA_RATIOS",
    "GAINS",
    "GLUE",
    "PUBLISHED",
    "TASKS",
    "Comparison",
    "Correction",
    "Gain",
    "GlueRow",
    "PublishedFigures",
    "ReportedValue",
    "published",
]
