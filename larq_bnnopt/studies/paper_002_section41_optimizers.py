"""Paper 002, section 4.1: SGD is worst, RAdam equals Adam with a warm-up."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import equal, higher
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY, TRAIN_LOSS
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import ON_FASHION_MNIST, RESNET_E
from larq_bnnopt.studies.study import Study

STUDY = Study(
    name="paper_002_section41_optimizers",
    title="SGD, Adam and RAdam on latent weights",
    paper="002",
    place="section 4.1",
    claim=(
        "SGD trains binary networks worse than Adam and RAdam, and RAdam without a "
        "warm-up trains them as well, up to 1.5 points, as Adam with one."
    ),
    paper_setup=(
        "ResNetE-18 and others for 120 epochs of ImageNet, RAdam and Adam from 0.002; "
        "SGD is about one point worse"
    ),
    fields={
        **RESNET_E,
        **ON_FASHION_MNIST,
        "epochs": 3,
        "batch_size": 64,
        "learning_rate": 0.002,
    },
    arms=[
        Arm(
            "SGD 0.1, warm-up",
            {"optimizer": "sgd", "learning_rate": 0.1, "warmup_epochs": 0.125},
        ),
        Arm(
            "SGD 0.5, warm-up",
            {"optimizer": "sgd", "learning_rate": 0.5, "warmup_epochs": 0.125},
        ),
        Arm("Adam, warm-up", {"optimizer": "adam", "warmup_epochs": 0.125}),
        Arm("RAdam", {"optimizer": "radam"}),
    ],
    comparisons=[
        higher(TEST_ACCURACY, "RAdam", "SGD 0.1, warm-up"),
        higher(TEST_ACCURACY, "RAdam", "SGD 0.5, warm-up"),
        higher(TEST_ACCURACY, "Adam, warm-up", "SGD 0.1, warm-up"),
        higher(TEST_ACCURACY, "Adam, warm-up", "SGD 0.5, warm-up"),
        equal(TEST_ACCURACY, "RAdam", "Adam, warm-up", 0.015),
    ],
    panels=[
        Dots(TEST_ACCURACY),
        Curves("val_accuracy", "test accuracy"),
        Curves("flip_ratio", "weights that flip in a step", log=True),
    ],
    measures=[TEST_ACCURACY, TRAIN_LOSS, MEAN_FLIPS],
    minutes=28,
    seeds=7,
    note="A warm-up lasts as large a share of the run as the paper's 5 of 120 epochs.",
)
