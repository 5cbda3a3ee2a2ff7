"""Paper 000: two-step training is more accurate than one step of the same length."""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher
from larq_bnnopt.studies.measures import C2I, MEAN_FLIPS, TEST_ACCURACY
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.setups import ON_FASHION_MNIST, RESNET_E
from larq_bnnopt.studies.study import Study

STUDY = Study(
    name="paper_000_two_step",
    title="One step and two",
    paper="000",
    place="abstract and code",
    claim=(
        "To train with real weights and binary activations first, with a small weight "
        "decay, and with binary weights after that, without one, is more accurate than "
        "to train all binary from the start."
    ),
    paper_setup=(
        "ReActNet-A for 256 epochs a step of ImageNet: 70.5 %, 1.1 points more than "
        "before"
    ),
    fields={
        **RESNET_E,
        **ON_FASHION_MNIST,
        "epochs": 2,
        "batch_size": 64,
        "optimizer": "adam",
        "learning_rate": 0.002,
        "schedule": "linear",
    },
    arms=[
        Arm("one step", {"epochs": 4}),
        Arm("two steps", {"weight_decay": 5e-6}, kind="two_step"),
    ],
    comparisons=[higher(TEST_ACCURACY, "two steps", "one step")],
    panels=[
        Dots(TEST_ACCURACY),
        Curves("val_accuracy", "test accuracy"),
        Curves("flip_ratio", "weights that flip in a step", log=True),
    ],
    measures=[TEST_ACCURACY, MEAN_FLIPS, C2I],
    seeds=10,
    minutes=25,
    note="Both see each image four times.",
)
