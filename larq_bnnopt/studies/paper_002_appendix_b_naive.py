"""Paper 002, appendix B: the improvement block beats a residual of all channels."""

from typing import Any

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher
from larq_bnnopt.studies.measures import TEST_ACCURACY, TRAIN_LOSS
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import MELIUS, ON_FASHION_MNIST
from larq_bnnopt.studies.study import Study

_OPTIONS = MELIUS["model_options"]
_ARMS: dict[str, dict[str, Any]] = {
    "improvement block": {"blocks": [3, 3]},
    "naive residual": {"blocks": [2, 2], "improvement": "residual"},
}

STUDY = Study(
    name="paper_002_appendix_b_naive",
    title="Improvement block and naive residual",
    paper="002",
    place="appendix B and figure 6",
    claim=(
        "At an equal number of operations a network that improves only its new "
        "channels is more accurate than one with a residual of all channels."
    ),
    paper_setup=(
        "two networks of 258 million operations for 40 epochs of ImageNet, 3 points "
        "apart"
    ),
    fields={
        **MELIUS,
        **ON_FASHION_MNIST,
        "epochs": 4,
        "batch_size": 64,
        "optimizer": "adam",
        "learning_rate": 0.001,
    },
    arms=[
        Arm(name, {"model_options": {**_OPTIONS, **options}})
        for name, options in _ARMS.items()
    ],
    comparisons=[higher(TEST_ACCURACY, *_ARMS)],
    panels=[Dots(TEST_ACCURACY), Curves("val_accuracy", "test accuracy")],
    measures=[TEST_ACCURACY, TRAIN_LOSS],
    seeds=8,
    minutes=22,
    note=(
        "They have 2.26e5 and 2.24e5 operations, 2.5e6 and 2.9e6 binary ones, 82,944 "
        "and 105,984 binary weights: 3 and 3 blocks, and 2 and 2."
    ),
)
