"""Paper 000: the loss of a binary network is more rugged than that of its real twin."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher
from larq_bnnopt.studies.measures import TEST_ACCURACY, Measure
from larq_bnnopt.studies.pictures import Dots
from larq_bnnopt.studies.ruggedness import Contours, around
from larq_bnnopt.studies.setups import RESNET_E
from larq_bnnopt.studies.study import Study

_RUGGEDNESS = Measure("ruggedness", "ruggedness of the loss", is_share=False)

STUDY = Study(
    name="paper_000_loss_landscape",
    title="Loss of a binary network and of its real twin",
    paper="000",
    place="abstract",
    claim="The loss surface of a binary network is rugged, that of a real one smooth.",
    paper_setup="ReActNet and Bi-Real Net on ImageNet",
    fields={
        **RESNET_E,
        "epochs": 10,
        "batch_size": 64,
        "optimizer": "adam",
        "learning_rate": 0.002,
        "augment": False,
    },
    arms=[Arm("binary"), Arm("real", {"precision": "float"})],
    comparisons=[higher(_RUGGEDNESS, "binary", "real")],
    panels=[Contours("binary"), Contours("real"), Dots(_RUGGEDNESS)],
    measures=[_RUGGEDNESS, TEST_ACCURACY],
    minutes=28,
    after=around,
    note=(
        "Ruggedness is the root mean square of the second differences of the loss, "
        "divided by that of the first, on 21x21 points of a plane of two random "
        "directions that are as long as each filter; the plane reaches a fifth of it. "
        "Latent weights move, and the network uses their signs."
    ),
)
