"""Paper 003, table 2, on text: a binary BERT by Diode, Adam, Bop, the filter."""

import importlib.util

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import higher
from larq_bnnopt.studies.measures import MEAN_FLIPS, TEST_ACCURACY, TRAIN_LOSS
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.study import Study

# Rows of words that a batch lacks wait, as in the paper's code.
_SEEN = {"embedding_updates": "seen_rows"}
_PAPER, _FITTED = "Diode, averages of the paper", "Diode, averages that fit"


def _require_tokenizers() -> None:
    """Raises an ImportError unless texts can be read."""
    if importlib.util.find_spec("tokenizers") is None:
        raise ImportError(
            "This study needs tokenizers: pip install 'larq-bnnopt[text]', or pip "
            "install tokenizers."
        )


STUDY = Study(
    name="paper_003_table2_text",
    title="Diode, Adam, Bop and the gradient filter on text",
    paper="003",
    place="table 2",
    claim=(
        "On a binary BERT Diode is more accurate than Adam on latent weights, and Bop "
        "and the gradient filter are less accurate than Adam."
    ),
    paper_setup=(
        "binary BERT-Base (BiT) with a teacher on the nine tasks of GLUE, on SST-2 "
        "91.0 by Diode, 87.7 by Adam, 87.7 by Bop and 87.0 by the filter"
    ),
    fields={
        "model": "binary_bert_tiny",
        # Dropout in front of the threshold of attention moves it, where nothing was
        # pre-trained.
        "model_options": {
            "hidden_size": 64,
            "intermediate_size": 256,
            "dropout": 0,
        },
        "dataset": "rotten_tomatoes",
        "text_length": 64,
        "batch_size": 64,
        "epochs": 6,
        "learning_rate": 1e-3,
    },
    arms=[
        Arm("Adam", {"optimizer": "adam"}),
        Arm(
            "Bop",
            {"optimizer": "bop", "gamma": 0.01, "threshold": 1e-6, **_SEEN},
        ),
        Arm("gradient filter", {"optimizer": "gradient_filter", **_SEEN}),
        Arm(_PAPER, {"optimizer": "diode", "alpha": 0.99, "beta": 0.9999, **_SEEN}),
        Arm(_FITTED, {"optimizer": "diode", **_SEEN}),
    ],
    comparisons=[
        higher(TEST_ACCURACY, _PAPER, "Adam"),
        higher(TEST_ACCURACY, _FITTED, "Adam"),
        higher(TEST_ACCURACY, "Adam", "gradient filter"),
        higher(TEST_ACCURACY, "Adam", "Bop"),
    ],
    panels=[
        Dots(TEST_ACCURACY),
        Curves("val_accuracy", "test accuracy"),
        Curves("flip_ratio", "weights that flip in a step", log=True),
    ],
    measures=[TEST_ACCURACY, TRAIN_LOSS, MEAN_FLIPS],
    minutes=30,
    quick_data=None,
    require=_require_tokenizers,
    advice=(
        "`python tools/prepare_texts.py rotten_tomatoes rotten_tomatoes` makes it, a "
        "folder of 8,530 sentences on films, where the command is given"
    ),
    note=(
        "This is a BERT of 2 layers and 64 channels without pre-training and without "
        "a teacher or dropout, on sentences of films. Bop's constants are those of "
        "the study on images; the rate of Adam is the same in all settings."
    ),
)
