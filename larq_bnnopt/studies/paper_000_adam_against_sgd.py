"""Paper 000: Adam trains binary networks to a higher accuracy than SGD."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher_best
from larq_bnnopt.studies.latent_weights import watch
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY, TRAIN_LOSS, Measure
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import ON_FASHION_MNIST, RESNET_E
from larq_bnnopt.studies.study import Study

_DISTANCE = Measure(
    "latent_distance", "mean way of a latent weight from its start", is_share=False
)

STUDY = Study(
    name="paper_000_adam_against_sgd",
    title="Adam against SGD",
    paper="000",
    place="abstract",
    claim=(
        "Adam reaches a better optimum of binary networks than SGD: the accuracy is "
        "higher."
    ),
    paper_setup="ReActNet and Bi-Real Net on ImageNet",
    fields={
        **RESNET_E,
        **ON_FASHION_MNIST,
        "epochs": 3,
        "batch_size": 128,
    },
    arms=[
        Arm("Adam 0.01", {"optimizer": "adam", "learning_rate": 0.01}),
        Arm("Adam 0.002", {"optimizer": "adam", "learning_rate": 0.002}),
        Arm("SGD 0.1", {"optimizer": "sgd", "learning_rate": 0.1}),
        Arm("SGD 0.5", {"optimizer": "sgd", "learning_rate": 0.5}),
    ],
    comparisons=[
        higher_best(
            TEST_ACCURACY,
            ("Adam 0.01", "Adam 0.002"),
            ("SGD 0.1", "SGD 0.5"),
            ("Adam", "SGD"),
        ),
    ],
    panels=[
        Dots(TEST_ACCURACY),
        Curves("loss", "training loss", is_share=False),
        Curves(
            "latent_distance", "mean way of a latent weight", is_share=False, log=True
        ),
        Curves("flip_ratio", "weights that flip in a step", log=True),
    ],
    measures=[TEST_ACCURACY, TRAIN_LOSS, _DISTANCE, MEAN_FLIPS],
    minutes=20,
    keep=["latent_*"],
    callbacks=watch,
    note=(
        "Each optimizer has the better of two learning rates with each seed. SGD has a "
        "momentum of 0.9; all rates fall along a cosine."
    ),
)
