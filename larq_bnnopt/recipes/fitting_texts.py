"""Models of texts: their tokens, their vocabulary, and the data that fit them."""

from __future__ import annotations

import os
import pathlib

import tensorflow as tf

from larq_bnnopt.datasets import TEXTS, Dataset, Tokenizer

# What a model of texts takes, in order.
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENIZER = "tokenizer.json"
_IN_DATA = (TOKENIZER, "vocab.txt")


def takes_texts(model: tf.keras.Model) -> bool:
    """Whether a model takes tokens of texts, as those of `zx.BinaryBert` do."""
    return tuple(getattr(model, "input_names", None) or ()) == _INPUTS


def text_length_of(model: tf.keras.Model) -> int:
    """Returns the number of tokens of a text that a model takes.

    Args:
        model: The model.

    Raises:
        ValueError: If it takes no texts.
    """
    if not takes_texts(model):
        raise ValueError(
            f"The model {model.name} takes no texts: its inputs are not "
            f"{', '.join(_INPUTS)}."
        )
    return int(model.inputs[0].shape[1])


def rows_of(model: tf.keras.Model) -> int:
    """Returns the rows of the word embeddings of a model of texts."""
    return int(model.get_layer("embeddings_word").input_dim)


def require_texts(model: tf.keras.Model, data: Dataset) -> None:
    """Raises a ValueError unless a model and a data set both take texts, that fit.

    Args:
        model: The model.
        data: The data set.
    """
    if data.kind != TEXTS:
        if takes_texts(model):
            raise ValueError(
                f"The model {model.name} takes texts, and {data.name} has {data.kind}."
            )
        return
    length, rows = text_length_of(model), rows_of(model)
    if (length,) != data.input_shape:
        raise ValueError(
            f"The model {model.name} takes texts of {length} tokens, and those of "
            f"{data.name} have {data.input_shape[0]}. They must be equal."
        )
    if rows < data.settings["vocab_size"]:
        raise ValueError(
            f"The model {model.name} has embeddings of {rows:,} words, and the "
            f"tokenizer of {data.name} {data.settings['vocab_size']:,} tokens. Put the "
            "tokenizer.json of the model beside its file, or give it to the training "
            "(--tokenizer)."
        )


def require_tokenizer(name: str, trained: str) -> None:
    """Raises a ValueError unless the folder of a data set holds a tokenizer.

    Otherwise one would be made of its texts, with other tokens than a trained model
    knows.

    Args:
        name: The data set.
        trained: The file of the trained model, or its run.
    """
    if not any(os.path.isfile(os.path.join(name, file)) for file in _IN_DATA):
        raise ValueError(
            f"{name} holds texts, and the tokenizer of {trained} is not known: no "
            f"{TOKENIZER} is beside it. Give the one that it was trained with "
            "(--tokenizer)."
        )


def require_same_tokens(teacher: tf.keras.Model, path: str, data: Dataset) -> None:
    """Raises a ValueError if a teacher knows texts by other tokens than the data have.

    Args:
        teacher: The teacher, a BERT.
        path: Its file, or its run.
        data: The data set, of texts.
    """
    own = Tokenizer(data.settings["tokenizer"], data.settings["text_length"])
    kept = tokenizer_beside(path)
    same = kept is None or Tokenizer.of_file(kept, own.length).to_json() == (
        own.to_json()
    )
    if not same or rows_of(teacher) < own.vocab_size:
        raise ValueError(
            f"The teacher {path} reads other tokens than the model that learns from "
            f"it, whose tokenizer has {own.vocab_size:,}. Give the teacher's tokenizer "
            "(--tokenizer), or a teacher of the same."
        )


def tokenizer_beside(path: str | pathlib.Path) -> str | None:
    """Returns the tokenizer that a run keeps beside its model, `None` without one.

    Args:
        path: The file of a model, or the folder of a run.
    """
    path = pathlib.Path(path)
    kept = (path if path.is_dir() else path.parent) / TOKENIZER
    return str(kept) if kept.is_file() else None
