"""Paper 003, equations 5 to 13: the rules that lead to Diode, step by step."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import rising
from larq_bnnopt.studies.measures import LAST_FLIPS, MEAN_FLIPS, TEST_ACCURACY
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import BNEXT_DAGGER, ON_FASHION_MNIST
from larq_bnnopt.studies.study import Study

# What fits 1,407 steps: averages over 7 and over 467 of them.
_ALPHA, _BETA = 0.857, 0.99786
_FILTER = {"optimizer": "gradient_filter", "binary_schedule": "constant"}
_DIODE = {"optimizer": "diode", "alpha": _ALPHA, "beta": _BETA}
_ARMS = {
    "one average (eq. 5-6)": {
        **_FILTER,
        "order": 1,
        "alpha": round(1 - _ALPHA, 6),
    },
    "two averages (eq. 7)": {
        **_FILTER,
        "alpha": round(1 - _BETA, 6),
        "gamma": round(1 - _ALPHA, 6),
    },
    "votes (eq. 8-9)": {**_DIODE, "binary_schedule": "constant"},
    "Diode (eq. 10-13)": _DIODE,
}

STUDY = Study(
    name="paper_003_eq5_predecessors",
    title="The rules that lead to Diode",
    paper="003",
    place="equations 5 to 13",
    claim=(
        "The sign of one averaged gradient is hard to converge, a second average "
        "steadies it, votes in place of gradients are more robust, and a decay of "
        "their size eta completes the rule: each step is more accurate."
    ),
    paper_setup="none of the earlier rules: it gives no numbers for them",
    fields={
        **BNEXT_DAGGER,
        **ON_FASHION_MNIST,
        "epochs": 3,
        "batch_size": 128,
    },
    arms=[Arm(name, fields) for name, fields in _ARMS.items()],
    comparisons=rising(TEST_ACCURACY, list(_ARMS)),
    panels=[
        Dots(TEST_ACCURACY),
        Curves("val_accuracy", "test accuracy"),
        Curves("flip_ratio", "weights that flip in a step", log=True),
    ],
    measures=[TEST_ACCURACY, MEAN_FLIPS, LAST_FLIPS],
    minutes=22,
    note=(
        "The rules share alpha and beta. Equations 5 to 7 are the gradient filter of "
        "order 1 and 2 with constant coefficients, equations 8 and 9 Diode with a "
        "constant eta."
    ),
)
