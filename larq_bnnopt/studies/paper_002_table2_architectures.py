"""Paper 002, table 2: MeliusNet beats BinaryDenseNet, which beats ResNetE."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import rising
from larq_bnnopt.studies.measures import TEST_ACCURACY, TRAIN_LOSS
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import DENSE, MELIUS, ON_FASHION_MNIST, RESNET_E
from larq_bnnopt.studies.study import Study

STUDY = Study(
    name="paper_002_table2_architectures",
    title="ResNetE, BinaryDenseNet and MeliusNet",
    paper="002",
    place="table 2",
    claim=(
        "By the same training MeliusNet is more accurate than a BinaryDenseNet of the "
        "same cost, and that is more accurate than ResNetE."
    ),
    paper_setup=(
        "networks of 4 MB on ImageNet with the 7x7 stem: ResNetE-18 60.0 %, "
        "BinaryDenseNet-28 61.7 %, MeliusNet-22 62.8 %"
    ),
    fields={
        **ON_FASHION_MNIST,
        "epochs": 4,
        "batch_size": 64,
        "optimizer": "radam",
        "learning_rate": 0.002,
    },
    arms=[
        Arm("ResNetE", RESNET_E),
        Arm("BinaryDenseNet", DENSE),
        Arm("MeliusNet", MELIUS),
    ],
    comparisons=rising(TEST_ACCURACY, ["ResNetE", "BinaryDenseNet", "MeliusNet"]),
    panels=[Dots(TEST_ACCURACY), Curves("val_accuracy", "test accuracy")],
    measures=[TEST_ACCURACY, TRAIN_LOSS],
    minutes=22,
    note=(
        "These have 73,728, 46,080 and 46,080 binary weights, and 1.8e5, 2.1e5 and "
        "2.0e5 operations."
    ),
)
