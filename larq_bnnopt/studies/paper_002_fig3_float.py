"""Paper 002, figure 3: MeliusNet gains over DenseNet in binary networks alone."""

from typing import Any

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher, larger_gap, not_higher
from larq_bnnopt.studies.measures import TEST_ACCURACY, TRAIN_LOSS
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import DENSE, MELIUS, ON_FASHION_MNIST
from larq_bnnopt.studies.study import Study

_FLOAT: dict[str, Any] = {
    "precision": "float",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "warmup_epochs": 0.2,
}
_BINARY: dict[str, Any] = {"optimizer": "radam", "learning_rate": 0.002}

STUDY = Study(
    name="paper_002_fig3_float",
    title="MeliusNet and DenseNet, binary and real",
    paper="002",
    place="figure 3",
    claim=(
        "With real weights and activations MeliusNet is no more accurate, by 1.5 "
        "points or more, than a DenseNet of about the same cost: it improves binary "
        "networks alone."
    ),
    paper_setup=(
        "MeliusNet with 4, 4, 4, 3 and DenseNet with 6, 6, 6, 5 blocks on ImageNet by "
        "SGD, both 62.4 %, and binary networks 1 to 1.6 points apart"
    ),
    fields={
        **ON_FASHION_MNIST,
        "epochs": 4,
        "batch_size": 64,
    },
    arms=[
        Arm("DenseNet, real", {**DENSE, **_FLOAT}),
        Arm("MeliusNet, real", {**MELIUS, **_FLOAT}),
        Arm("DenseNet, binary", {**DENSE, **_BINARY}),
        Arm("MeliusNet, binary", {**MELIUS, **_BINARY}),
    ],
    comparisons=[
        not_higher(TEST_ACCURACY, "MeliusNet, real", "DenseNet, real", 0.015),
        higher(TEST_ACCURACY, "MeliusNet, binary", "DenseNet, binary"),
        larger_gap(
            TEST_ACCURACY,
            ("MeliusNet, binary", "DenseNet, binary"),
            ("MeliusNet, real", "DenseNet, real"),
        ),
    ],
    panels=[
        Curves(
            "val_accuracy",
            "test accuracy",
            arms=("DenseNet, real", "MeliusNet, real"),
        ),
        Curves(
            "val_accuracy",
            "test accuracy",
            arms=("DenseNet, binary", "MeliusNet, binary"),
        ),
        Dots(TEST_ACCURACY),
    ],
    measures=[TEST_ACCURACY, TRAIN_LOSS],
    minutes=30,
    note="Neither kind of jitter that the paper's script adds is used.",
)
