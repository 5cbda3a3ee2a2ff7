"""Paper 001, figure 4: latent weights that start at zero need no learning rate."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher, narrow, wider
from larq_bnnopt.studies.latent_rates import rates, with_own_rate
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY
from larq_bnnopt.studies.pictures import Sweep
from larq_bnnopt.studies.setups import PAPER_001, RATES, SMALL_BIREAL, bireal
from larq_bnnopt.studies.study import Study

_FACTORS = (1e-2, 1, 1e2)
_ALPHA = 0.005
_SETTINGS = {
    "(a) standard": bireal(),
    "(b) magnitude-independent": bireal(magnitude_independent=True, zero_start=False),
    "(c) and start at zero": bireal(magnitude_independent=True, zero_start=True),
}


def _names(setting: str) -> list[str]:
    return [f"{setting}, rate {RATES['learning_rate'] * one:g}" for one in _FACTORS]


_A, _B, _C = map(_names, _SETTINGS)

STUDY = Study(
    name="paper_001_fig4_rates",
    title="Learning rates of latent weights in three settings",
    paper="001",
    place="figure 4",
    claim=(
        "With clipping and scaling one learning rate is the best; without both a small "
        "one prevents learning; with a start at zero as well all learning rates are "
        "equally accurate, up to 3 points."
    ),
    paper_setup=PAPER_001,
    fields={**SMALL_BIREAL, **RATES, "optimizer": "sgd", "epochs": 5},
    arms=[
        Arm(
            f"{setting}, rate {RATES['learning_rate'] * factor:g}",
            fields,
            x=RATES["learning_rate"] * factor,
            group=setting,
            more=rates(factor, _ALPHA),
        )
        for setting, fields in _SETTINGS.items()
        for factor in _FACTORS
    ],
    adapt=with_own_rate,
    comparisons=[
        higher(TEST_ACCURACY, _A[1], _A[0]),
        higher(TEST_ACCURACY, _A[1], _A[2]),
        higher(TEST_ACCURACY, _B[1], _B[0]),
        wider(TEST_ACCURACY, _B, _C, ("the rates of (b)", "those of (c)")),
        *narrow(TEST_ACCURACY, _C, 0.03),
    ],
    panels=[
        Sweep(TEST_ACCURACY, "learning rate of latent weights"),
        Sweep(MEAN_FLIPS, "learning rate of latent weights", log_y=True),
    ],
    measures=[TEST_ACCURACY, MEAN_FLIPS],
    minutes=30,
    note=(
        "The weight decay of latent weights is divided by what their learning rate is "
        "multiplied by, so that alpha of equation 17 is 0.005 at the start of each; "
        "real-valued weights keep theirs."
    ),
)
