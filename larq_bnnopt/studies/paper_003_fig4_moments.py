"""Paper 003, figure 4: the averages of Diode decide how often weights flip."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher_mean
from larq_bnnopt.studies.distributions import Distribution, averages
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY, TRAIN_LOSS
from larq_bnnopt.studies.pictures import Curves
from larq_bnnopt.studies.setups import BNEXT_DAGGER, ON_FASHION_MNIST
from larq_bnnopt.studies.study import Study

# As in table 3.
_BETAS = {"short": 0.9786, "long": 0.99786}
_ALPHAS = (0.9, 0.99)
_CELLS = {(a, b): f"alpha {a:g}, {b} beta" for a in _ALPHAS for b in _BETAS}

STUDY = Study(
    name="paper_003_fig4_moments",
    title="Loss, flips and averages of Diode",
    paper="003",
    place="figure 4",
    claim=(
        "Both averages make the flips of weights rarer: the longer, the fewer flips."
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
        Arm(name, {"alpha": a, "beta": _BETAS[b]}) for (a, b), name in _CELLS.items()
    ],
    comparisons=[
        higher_mean(
            MEAN_FLIPS,
            [_CELLS[a, "short"] for a in _ALPHAS],
            [_CELLS[a, "long"] for a in _ALPHAS],
            ("the short beta", "the long one"),
        ),
        higher_mean(
            MEAN_FLIPS,
            [_CELLS[0.9, b] for b in _BETAS],
            [_CELLS[0.99, b] for b in _BETAS],
            ("alpha 0.9", "alpha 0.99"),
        ),
    ],
    panels=[
        Curves("val_loss", "test loss", is_share=False),
        Curves("step_flips", "weights that flip in a step", log=True, x_label="step"),
        Distribution("u"),
        Distribution("m"),
    ],
    measures=[MEAN_FLIPS, TRAIN_LOSS, TEST_ACCURACY],
    minutes=22,
    each_step=True,
    after=averages,
    note=(
        "The distributions are of all binary weights after the last step, u in units "
        "of its root mean square, m as a share of its largest value."
    ),
)
