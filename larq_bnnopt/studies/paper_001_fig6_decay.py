"""Paper 001, figure 6: without a decay of alpha flips go on and accuracy stays low."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher
from larq_bnnopt.studies.measures import LAST_FLIPS, MEAN_FLIPS, TEST_ACCURACY
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import FILTER, PAPER_001, SMALL_BIREAL
from larq_bnnopt.studies.study import Study

STUDY = Study(
    name="paper_001_fig6_decay",
    title="Decay of alpha",
    paper="001",
    place="figure 6",
    claim=(
        "With a decay of alpha the FF ratio goes to zero and the accuracy at the end "
        "is higher; without it weights keep flipping."
    ),
    paper_setup=PAPER_001,
    fields={**SMALL_BIREAL, **FILTER, "alpha": 0.01, "gamma": 0.1, "epochs": 12},
    arms=[
        Arm("decay", {"binary_schedule": "cosine"}),
        Arm("no decay", {"binary_schedule": "constant"}),
    ],
    comparisons=[
        higher(LAST_FLIPS, "no decay", "decay"),
        higher(TEST_ACCURACY, "decay", "no decay"),
    ],
    panels=[
        Curves("flip_ratio", "weights that flip in a step", log=True),
        Curves("val_accuracy", "test accuracy"),
        Dots(TEST_ACCURACY),
    ],
    measures=[TEST_ACCURACY, LAST_FLIPS, MEAN_FLIPS],
    minutes=25,
    seeds=10,
    note=(
        "The learning rate of the real-valued weights falls along a cosine in both "
        "settings."
    ),
)
