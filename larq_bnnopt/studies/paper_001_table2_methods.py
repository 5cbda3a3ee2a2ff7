"""Paper 001, table 2: one-step training by the filter is as good as two steps."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import equal, higher
from larq_bnnopt.studies.measures import TEST_ACCURACY, TRAIN_LOSS
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import FILTER, SGD, SMALL_BIREAL
from larq_bnnopt.studies.study import Study

STUDY = Study(
    name="paper_001_table2_methods",
    title="Filter, latent weights in one and two steps, and full precision",
    paper="001",
    place="table 2",
    claim=(
        "Trained in one step, the filter is more accurate than latent weights (86.5 "
        "against 85.0 %) and as accurate, up to 1.5 points, as two steps (86.7 %); "
        "full precision is the most accurate (91.7 %)."
    ),
    paper_setup=(
        "Bi-RealNet-20 on CIFAR-10 for 400 epochs with crops and flips, SGD with a "
        "learning rate of 0.1 and batches of 256"
    ),
    fields={**SMALL_BIREAL, "epochs": 7},
    arms=[
        Arm("full precision", {"optimizer": "sgd", **SGD, "precision": "float"}),
        Arm("latent, one step", {"optimizer": "sgd", **SGD}),
        Arm("filter, one step", {**FILTER, "gamma": 0.1}),
        Arm(
            "latent, two steps",
            {"optimizer": "sgd", **SGD, "schedule": "cosine"},
            kind="two_step",
        ),
    ],
    comparisons=[
        higher(TEST_ACCURACY, "full precision", "latent, two steps"),
        higher(TEST_ACCURACY, "filter, one step", "latent, one step"),
        equal(TEST_ACCURACY, "filter, one step", "latent, two steps", 0.015),
    ],
    panels=[
        Curves("val_accuracy", "test accuracy"),
        Dots(TEST_ACCURACY),
    ],
    measures=[TEST_ACCURACY, TRAIN_LOSS],
    minutes=29,
    seeds=7,
    note=(
        "Two steps take twice the epochs, as many in each. DoReFa, DSQ and IR-Net of "
        "the table are not here. Alpha is the one that fits the number of steps."
    ),
)
