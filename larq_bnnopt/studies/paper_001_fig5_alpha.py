"""Paper 001, figure 5: the filter's alpha decides flips and accuracy."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher, rising
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY
from larq_bnnopt.studies.pictures import Curves, Sweep
from larq_bnnopt.studies.setups import FILTER, PAPER_001, SMALL_BIREAL
from larq_bnnopt.studies.study import Study

_ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_NAMES = [f"alpha {alpha:g}" for alpha in _ALPHAS]

STUDY = Study(
    name="paper_001_fig5_alpha",
    title="Alpha of the gradient filter",
    paper="001",
    place="figure 5",
    claim=(
        "A large alpha flips too many weights for the training to converge, a small "
        "one freezes them too early, and one in between is the most accurate."
    ),
    paper_setup=PAPER_001,
    fields={**SMALL_BIREAL, **FILTER, "gamma": 0.1, "epochs": 8},
    arms=[Arm(name, {"alpha": alpha}, x=alpha) for name, alpha in zip(_NAMES, _ALPHAS)],
    comparisons=[
        *rising(MEAN_FLIPS, _NAMES),
        higher(TEST_ACCURACY, "alpha 0.01", "alpha 1e-05"),
        higher(TEST_ACCURACY, "alpha 0.01", "alpha 0.1"),
    ],
    panels=[
        Curves("flip_ratio", "weights that flip in a step", log=True),
        Curves("val_accuracy", "test accuracy"),
        Sweep(TEST_ACCURACY, "alpha"),
    ],
    measures=[TEST_ACCURACY, MEAN_FLIPS],
    minutes=25,
    note=(
        "Here the average of alpha 0.01 covers about an eighth of the steps, as that "
        "of alpha 1e-3 would in a training ten times as long."
    ),
)
