"""Paper 003, figure 1: Diode gains more from large batches than Adam."""

import itertools

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher, larger_gap
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY
from larq_bnnopt.studies.pictures import Dots, Sweep
from larq_bnnopt.studies.setups import ON_FASHION_MNIST, TINY
from larq_bnnopt.studies.study import Study

_SIZES = (64, 256, 1024)
_OPTIMIZERS = {"diode": "Diode", "adam": "Adam"}

STUDY = Study(
    name="paper_003_fig1_batch_size",
    title="Size of the batch, Diode and Adam",
    paper="003",
    place="figure 1",
    claim=(
        "Diode takes more advantage of large batches than Adam: its lead grows with "
        "the batch, at the same number of epochs."
    ),
    paper_setup=(
        "BNext-18 without squeeze-and-excitation for 128 epochs of ImageNet, batches "
        "of 64 to 4,096; Diode is behind Adam below 128"
    ),
    fields={**TINY, **ON_FASHION_MNIST, "epochs": 3},
    arms=[
        Arm(
            f"{label}, batch {size}",
            {"optimizer": name, "batch_size": size},
            x=size,
            group=label,
        )
        for name, label in _OPTIMIZERS.items()
        for size in _SIZES
    ],
    comparisons=[
        *(
            larger_gap(
                TEST_ACCURACY,
                (f"Diode, batch {large}", f"Adam, batch {large}"),
                (f"Diode, batch {small}", f"Adam, batch {small}"),
            )
            for small, large in itertools.pairwise(_SIZES)
        ),
        higher(TEST_ACCURACY, "Diode, batch 1024", "Adam, batch 1024"),
    ],
    panels=[
        Sweep(TEST_ACCURACY, "images in a batch"),
        Sweep(MEAN_FLIPS, "images in a batch", log_y=True),
        Dots(TEST_ACCURACY),
    ],
    measures=[TEST_ACCURACY, MEAN_FLIPS],
    minutes=30,
    note=(
        "Diode's averages fit the number of steps of each run, and the learning rate "
        "of Adam is 0.01 for each. A batch of 1,024 leaves 177 steps, where the paper "
        "has 160,000."
    ),
)
