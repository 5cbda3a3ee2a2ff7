"""Paper 001, figure 3: a learning rate times s acts as first weights divided by s."""

import fractions

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher, same_series
from larq_bnnopt.studies.latent_rates import rates, with_own_rate
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY, Measure
from larq_bnnopt.studies.pictures import Curves
from larq_bnnopt.studies.setups import PAPER_001, RATES, SMALL_BIREAL, bireal
from larq_bnnopt.studies.study import Study

# Powers of two scale floats without rounding, so that the runs are equal in every bit.
_SCALES = (1 / 64, 1 / 8, 8)
_ALPHA = 0.005
_STEPS = Measure("step_flips", "FF ratio of each step")


def _rate(scale: float) -> str:
    return f"rate times {fractions.Fraction(scale)}"


def _start(scale: float) -> str:
    return f"start divided by {fractions.Fraction(scale)}"


_RATES = [
    Arm(_rate(s), more=rates(s, _ALPHA), x=s, group="learning rate") for s in _SCALES
]
_STARTS = [
    Arm(_start(s), {"latent_scale": 1 / s}, more=rates(1, _ALPHA), x=s, group="start")
    for s in _SCALES
]

STUDY = Study(
    name="paper_001_fig3_rate_and_start",
    title="Learning rate of latent weights against their first scale",
    paper="001",
    place="figure 3",
    claim=(
        "In the magnitude-independent setting, a learning rate of latent weights times "
        "s flips exactly the weights that first weights divided by s flip; too small a "
        "learning rate flips fewer."
    ),
    paper_setup=PAPER_001,
    fields={
        **SMALL_BIREAL,
        **bireal(magnitude_independent=True, zero_start=False),
        **RATES,
        "optimizer": "sgd",
        "epochs": 3,
    },
    arms=[*_RATES, *_STARTS],
    adapt=with_own_rate,
    each_step=True,
    comparisons=[
        *(same_series(_STEPS, _rate(s), _start(s), 1e-6) for s in _SCALES),
        higher(MEAN_FLIPS, _rate(8), _rate(1 / 64)),
    ],
    panels=[
        Curves(
            "flip_ratio",
            "weights that flip in a step",
            log=True,
            arms=[_rate(s) for s in _SCALES],
        ),
        Curves(
            "flip_ratio",
            "weights that flip in a step",
            log=True,
            arms=[_start(s) for s in _SCALES],
        ),
    ],
    measures=[MEAN_FLIPS, TEST_ACCURACY],
    minutes=20,
    note=(
        "The weight decay of latent weights is divided by s where their learning rate "
        "is multiplied by it, so that alpha of equation 17 is 0.005 at the start of "
        "each; real-valued weights keep theirs."
    ),
)
