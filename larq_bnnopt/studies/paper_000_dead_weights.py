"""Paper 000: Adam's second moment revives weights that SGD leaves where they are."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher
from larq_bnnopt.studies.latent_weights import watch
from larq_bnnopt.studies.measures import TEST_ACCURACY, Measure
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import RESNET_E
from larq_bnnopt.studies.study import Study

_STILL = Measure("latent_still", "share of weights that have hardly moved")
_NEVER = Measure("never_flipped_ratio", "share of weights that never flipped")

STUDY = Study(
    name="paper_000_dead_weights",
    title="Dead weights, by Adam and by SGD",
    paper="000",
    place="abstract",
    claim=(
        "Adam divides by the second moment, and so moves and flips weights that SGD "
        "leaves where they are."
    ),
    paper_setup="ReActNet and Bi-Real Net on ImageNet",
    fields={
        **RESNET_E,
        "epochs": 12,
        "batch_size": 64,
        "augment": False,
    },
    arms=[
        Arm("Adam", {"optimizer": "adam", "learning_rate": 0.002}),
        Arm("SGD 0.1", {"optimizer": "sgd", "learning_rate": 0.1}),
        Arm("SGD 0.5", {"optimizer": "sgd", "learning_rate": 0.5}),
    ],
    comparisons=[
        higher(_STILL, "SGD 0.1", "Adam"),
        higher(_STILL, "SGD 0.5", "Adam"),
        higher(_NEVER, "SGD 0.1", "Adam"),
        higher(_NEVER, "SGD 0.5", "Adam"),
    ],
    panels=[
        Curves("latent_still", "weights that have hardly moved"),
        Curves("never_flipped_ratio", "weights that never flipped"),
        Dots(TEST_ACCURACY),
    ],
    measures=[_STILL, _NEVER, TEST_ACCURACY],
    minutes=12,
    keep=["latent_*"],
    callbacks=watch,
    note=(
        "A weight has hardly moved if it is nearer to its start than a tenth of the "
        "mean weight of its layer. This shows what moves, and not that saturated "
        "activations or the second moment are the cause."
    ),
)
