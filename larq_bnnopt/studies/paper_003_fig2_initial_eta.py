"""Paper 003, figure 2: the first eta of Diode has no effect."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import equal
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY, TRAIN_LOSS
from larq_bnnopt.studies.pictures import Curves, Sweep
from larq_bnnopt.studies.setups import BNEXT_DAGGER, ON_FASHION_MNIST
from larq_bnnopt.studies.study import Study

_ETAS = (1.0, 0.01, 1e-4)
# Runs of one setting differ by 0.5 to 0.8 points from seed to seed.
_MARGIN = 0.015

STUDY = Study(
    name="paper_003_fig2_initial_eta",
    title="First eta of Diode",
    paper="003",
    place="figure 2",
    claim=(
        "The value that eta starts from, 1 or 0.0001, has no effect on the accuracy, "
        "up to 1.5 points."
    ),
    paper_setup="BNext-18 without squeeze-and-excitation on CIFAR-100",
    fields={
        **BNEXT_DAGGER,
        **ON_FASHION_MNIST,
        "optimizer": "diode",
        "epochs": 2,
        "batch_size": 128,
    },
    arms=[Arm(f"eta {eta:g}", {"eta": eta}, x=eta) for eta in _ETAS],
    comparisons=[
        equal(TEST_ACCURACY, f"eta {eta:g}", "eta 1", _MARGIN) for eta in _ETAS[1:]
    ],
    panels=[
        Sweep(TEST_ACCURACY, "first eta"),
        Curves("loss", "training loss", is_share=False),
        Curves("flip_ratio", "weights that flip in a step"),
    ],
    measures=[TEST_ACCURACY, TRAIN_LOSS, MEAN_FLIPS],
    minutes=24,
    seeds=10,
    note=(
        "Diode starts from m = 0 here, where eta cancels in exact arithmetic: what "
        "differs is rounding."
    ),
)
