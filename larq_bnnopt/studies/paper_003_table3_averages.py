"""Paper 003, table 3: longer averages make Diode more accurate."""

import itertools

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher, higher_mean
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY
from larq_bnnopt.studies.pictures import Dots, Sweep
from larq_bnnopt.studies.setups import BNEXT_DAGGER, ON_FASHION_MNIST
from larq_bnnopt.studies.study import Study

# A thirtieth and a third of the 938 steps, as 0.999 and 0.9999 are of 30,000.
_BETAS = {"short": 0.968, "long": 0.9968}
_ALPHAS = (0.9, 0.95, 0.99)
_CELLS = {(a, b): f"alpha {a:g}, {b} beta" for a in _ALPHAS for b in _BETAS}
_LONGEST = _CELLS[0.99, "long"]

STUDY = Study(
    name="paper_003_table3_averages",
    title="Averages of Diode",
    paper="003",
    place="table 3",
    claim=(
        "Longer averages are better: accuracy rises with beta and with alpha, and is "
        "highest for the longest pair."
    ),
    paper_setup=(
        "BNext-18 without squeeze-and-excitation on CIFAR-100: 71.57 % for alpha 0.9 "
        "and beta 0.999, 74.51 % for 0.99 and 0.9999"
    ),
    fields={
        **BNEXT_DAGGER,
        **ON_FASHION_MNIST,
        "optimizer": "diode",
        "epochs": 2,
        "batch_size": 128,
    },
    arms=[
        Arm(name, {"alpha": a, "beta": _BETAS[b]}, x=1 - a, group=f"{b} beta")
        for (a, b), name in _CELLS.items()
    ],
    comparisons=[
        higher_mean(
            TEST_ACCURACY,
            [_CELLS[a, "long"] for a in _ALPHAS],
            [_CELLS[a, "short"] for a in _ALPHAS],
            ("the long beta", "the short one"),
        ),
        *(
            higher_mean(
                TEST_ACCURACY,
                [_CELLS[large, b] for b in _BETAS],
                [_CELLS[small, b] for b in _BETAS],
                (f"alpha {large:g}", f"alpha {small:g}"),
            )
            for small, large in itertools.pairwise(_ALPHAS)
        ),
        *(
            higher(TEST_ACCURACY, _LONGEST, cell)
            for cell in _CELLS.values()
            if cell != _LONGEST
        ),
    ],
    panels=[Dots(TEST_ACCURACY), Sweep(MEAN_FLIPS, "1 - alpha", log_y=True)],
    measures=[TEST_ACCURACY, MEAN_FLIPS],
    minutes=25,
    note=(
        "Alpha is the paper's. Beta averages over the same share of the run as the "
        "paper's 0.999 and 0.9999 would of 30,000 steps, since 0.9999 would keep the "
        "first signs of these few steps."
    ),
)
