"""Paper 001, figure 7: latent weights (eq. 3) are a second-order filter (eq. 17).

Keras's SGD keeps the decay inside the momentum. With a constant learning rate e, decay
l and momentum m its latent weights follow

    w_i = (1 + m - e l) w_{i-1} - m w_{i-2} - e grad_i,

which is the filter of equation 17, up to a scale that no sign sees, with 1 - alpha and
1 - gamma the roots of z^2 - (1 + m - e l) z + m.
"""

import math

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import equal, same_curve
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY, Measure
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import PAPER_001, SMALL_BIREAL, bireal
from larq_bnnopt.studies.study import Study

_RATE, _MOMENTUM, _DECAY = 0.1, 0.8, 0.01


def matching(rate: float, momentum: float, decay: float) -> tuple[float, float]:
    """Returns alpha and gamma of the filter that SGD on latent weights is.

    Args:
        rate: Learning rate.
        momentum: Momentum of Keras's SGD.
        decay: Weight decay, as a part of the gradient.

    Raises:
        ValueError: If no such filter has real averages.
    """
    total = 1 + momentum - rate * decay
    root = total**2 - 4 * momentum
    if root < 0:
        raise ValueError(
            f"(1 + momentum - rate * decay)^2 must be at least 4 * momentum. Received: "
            f"rate={rate}, momentum={momentum}, decay={decay}"
        )
    alpha = 1 - (total + math.sqrt(root)) / 2
    return alpha, 1 - (total - math.sqrt(root)) / 2


_ALPHA, _GAMMA = matching(_RATE, _MOMENTUM, _DECAY)
_FLIPS = Measure("flip_ratio", "FF ratio", "mean")

STUDY = Study(
    name="paper_001_fig7_equivalence",
    title="Latent weights against the filter",
    paper="001",
    place="figure 7",
    claim=(
        "SGD with momentum and weight decay on latent weights (equation 3) and the "
        "gradient filter without them (equation 17) are the same training."
    ),
    paper_setup=PAPER_001,
    fields={
        **SMALL_BIREAL,
        "schedule": "constant",
        "learning_rate": _RATE,
        "momentum": _MOMENTUM,
        "weight_decay": _DECAY,
        "epochs": 6,
    },
    arms=[
        Arm(
            "latent weights (eq. 3)",
            {
                "optimizer": "sgd",
                **bireal(magnitude_independent=True, zero_start=True),
            },
        ),
        Arm(
            "filter (eq. 17)",
            {
                "optimizer": "gradient_filter",
                "real_optimizer": "sgd",
                "alpha": _ALPHA,
                "gamma": _GAMMA,
                **bireal(magnitude_independent=True),
            },
        ),
    ],
    comparisons=[
        *same_curve(_FLIPS, "latent weights (eq. 3)", "filter (eq. 17)", 0.002, 3),
        equal(MEAN_FLIPS, "latent weights (eq. 3)", "filter (eq. 17)", 0.0005),
        equal(TEST_ACCURACY, "latent weights (eq. 3)", "filter (eq. 17)", 0.02),
    ],
    panels=[
        Curves("flip_ratio", "weights that flip in a step", log=True),
        Curves("val_accuracy", "test accuracy"),
        Dots(TEST_ACCURACY),
    ],
    measures=[TEST_ACCURACY, MEAN_FLIPS],
    minutes=20,
    seeds=10,
    note=(
        "The rates are constant, where both are equal in exact arithmetic: Keras's SGD "
        "keeps the weight decay inside the momentum, so that under a falling rate the "
        "matching alpha and gamma would change in every step. In floats a weight near "
        "zero may flip in one run and not in the other, after which the two are as "
        "different as two orders of the same images. The spread of the seeds in the "
        "table is the scale of the margins: 2 points of accuracy, 0.2 points of the FF "
        "ratio in each third of the epochs and 0.05 of its mean."
    ),
)
