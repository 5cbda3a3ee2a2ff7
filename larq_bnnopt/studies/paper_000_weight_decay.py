"""Paper 000: weight decay makes weights flip more and forget their start."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher
from larq_bnnopt.studies.measures import C2I, LAST_FLIPS, MEAN_FLIPS, TEST_ACCURACY
from larq_bnnopt.studies.pictures import Curves, Sweep
from larq_bnnopt.studies.setups import RESNET_E
from larq_bnnopt.studies.study import Study

_DECAYS = (0.0, 1e-4, 1e-3)

STUDY = Study(
    name="paper_000_weight_decay",
    title="Weight decay and flips",
    paper="000",
    place="abstract",
    claim=(
        "Weight decay trades sluggishness for instability: the more of it, the more "
        "weights flip (FF), and the fewer have the sign of their start (C2I)."
    ),
    paper_setup="ReActNet on ImageNet by Adam, weight decay 5e-6 in the end",
    fields={
        **RESNET_E,
        "epochs": 12,
        "batch_size": 64,
        "optimizer": "adam",
        "learning_rate": 0.002,
        "augment": False,
    },
    arms=[
        Arm(f"weight decay {rate:g}", {"weight_decay": rate}, x=rate or 1e-6)
        for rate in _DECAYS
    ],
    comparisons=[
        higher(MEAN_FLIPS, "weight decay 0.001", "weight decay 0.0001"),
        higher(MEAN_FLIPS, "weight decay 0.0001", "weight decay 0"),
        higher(C2I, "weight decay 0.0001", "weight decay 0.001"),
        higher(C2I, "weight decay 0", "weight decay 0.0001"),
    ],
    panels=[
        Curves("flip_ratio", "weights that flip in a step", log=True),
        Curves("c2i_ratio", "weights with the sign of their start (C2I)"),
        Sweep(TEST_ACCURACY, "weight decay (0 is drawn at 1e-6)"),
    ],
    measures=[MEAN_FLIPS, LAST_FLIPS, C2I, TEST_ACCURACY],
    minutes=12,
    note=(
        "The decay is added to the gradient of every real-valued weight before Adam "
        "uses it, as in the paper's code."
    ),
)
