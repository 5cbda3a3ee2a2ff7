"""Paper 003, figure 3: how eta of Diode decays decides flips and accuracy."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher
from larq_bnnopt.studies.measures import (
    LAST_FLIPS,
    MEAN_FLIPS,
    TEST_ACCURACY,
    TRAIN_LOSS,
)
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import BNEXT_DAGGER, ON_FASHION_MNIST
from larq_bnnopt.studies.study import Study

STUDY = Study(
    name="paper_003_fig3_eta_schedules",
    title="Decay of Diode's eta",
    paper="003",
    place="figure 3",
    claim=(
        "Without a decay of eta a network keeps flipping weights and converges badly, "
        "rapid ones (step and exponential) make it underfit, and the cosine is the "
        "most accurate."
    ),
    paper_setup="BNext-18 without squeeze-and-excitation on CIFAR-100",
    fields={
        **BNEXT_DAGGER,
        **ON_FASHION_MNIST,
        "optimizer": "diode",
        "epochs": 3,
        "batch_size": 128,
    },
    arms=[
        Arm("none", {"binary_schedule": "constant"}),
        Arm("step", {"binary_schedule": "step"}),
        Arm("exponential", {"binary_schedule": "exponential"}),
        Arm("cosine", {"binary_schedule": "cosine"}),
    ],
    comparisons=[
        higher(LAST_FLIPS, "none", "cosine"),
        higher(TRAIN_LOSS, "none", "cosine"),
        higher(TRAIN_LOSS, "step", "cosine"),
        higher(TRAIN_LOSS, "exponential", "cosine"),
        higher(TEST_ACCURACY, "cosine", "none"),
        higher(TEST_ACCURACY, "cosine", "step"),
        higher(TEST_ACCURACY, "cosine", "exponential"),
    ],
    panels=[
        Dots(TEST_ACCURACY),
        Curves("val_accuracy", "test accuracy"),
        Curves("step_flips", "weights that flip in a step", log=True, x_label="step"),
    ],
    measures=[TEST_ACCURACY, TRAIN_LOSS, MEAN_FLIPS, LAST_FLIPS],
    minutes=22,
    each_step=True,
    note=(
        "The learning rate of the real weights falls along a cosine in every setting. "
        "The paper states no factors: here the step is a tenth at half and at three "
        "quarters of the run, and the exponential decay leaves a hundredth at its end."
    ),
)
