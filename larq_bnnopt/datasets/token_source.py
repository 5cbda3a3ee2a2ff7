"""Labelled texts as a source of tokens: their batches, and what users should know."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from larq_bnnopt.datasets.dataset import CLASSIFICATION, TEXTS, Source
from larq_bnnopt.datasets.pipelines import LARGEST_IN_MEMORY, in_memory
from larq_bnnopt.datasets.text_labels import Labels
from larq_bnnopt.datasets.tokenizing import IDS, LENGTH, VOCAB_SIZE, Tokenizer
from larq_bnnopt.texts import require_known

# What measures a task, the first first.
METRICS = {
    "classification": ("accuracy", "f1", "matthews"),
    "regression": ("pearson", "spearman"),
}
# Of tokens that a vocabulary does not know, which suggest that it is another one.
_MANY_UNKNOWN = 0.05


@dataclasses.dataclass(frozen=True)
class TextOptions:
    """How texts become inputs.

    Attributes:
        length: Number of tokens of an input. Defaults to `None`, 128.
        vocab_size: Rows of the model's embedding. Defaults to `None`: what the
            tokenizer has, or the most tokens (8192) of one that is trained.
        tokenizer: A `tokenizer.json` or `vocab.txt`. Defaults to `None`, what the data
            have, or else one that is trained on the training texts.
    """

    length: int | None = None
    vocab_size: int | None = None
    tokenizer: str | os.PathLike[str] | None = None

    def tokenizer_for(self, texts: Sequence[str]) -> Tokenizer:
        """Returns the tokenizer, which is trained on texts if there is none.

        Raises:
            ValueError: If it has more tokens than `vocab_size`.
        """
        length = LENGTH if self.length is None else self.length
        if self.tokenizer is None:
            return Tokenizer.trained(texts, self.vocab_size or VOCAB_SIZE, length)
        tokenizer = Tokenizer.of_file(self.tokenizer, length)
        require_vocabulary(tokenizer, self.vocab_size, os.fspath(self.tokenizer))
        return tokenizer

    def rows(self, tokenizer: Tokenizer) -> int:
        """Returns the rows of the embedding that a tokenizer gets."""
        if self.tokenizer is None:
            return tokenizer.vocab_size
        return self.vocab_size or tokenizer.vocab_size


def require_vocabulary(tokenizer: Tokenizer, rows: int | None, place: str) -> None:
    """Raises a ValueError unless an embedding has a row for each token.

    Args:
        tokenizer: The tokenizer.
        rows: Rows of the embedding; nothing is checked if `None`.
        place: Where the tokenizer is from.
    """
    if rows is not None and rows < tokenizer.vocab_size:
        raise ValueError(
            f"{place} has {tokenizer.vocab_size:,} tokens, and the model rows for "
            f"{rows:,} (vocab_size). Give it as many, or the vocabulary that the model "
            "was made for."
        )


@dataclasses.dataclass(frozen=True)
class Texts:
    """Texts of a split: each with its second text, if they are pairs.

    Attributes:
        texts: The texts.
        pairs: The second text of each, or `None`.
        called: What they are, for warnings: `"training"` or `"test"`.
    """

    texts: Sequence[str]
    pairs: Sequence[str] | None
    called: str

    def encode(self, tokenizer: Tokenizer, place: str) -> dict[str, np.ndarray]:
        """Returns the tokens in few bytes; warns of texts that were truncated."""
        try:
            inputs = tokenizer.encode(self.texts, self.pairs)
        except ValueError as error:
            raise ValueError(f"{place}, {self.called}: {error}") from error
        count = len(self.texts)
        if tokenizer.truncated:
            warnings.warn(
                f"{tokenizer.truncated:,} of the {count:,} {self.called} texts of "
                f"{place} have more than {tokenizer.length} tokens and are "
                f"truncated: a larger text_length reads more (the longest has "
                f"{tokenizer.longest:,}).",
                stacklevel=2,
            )
        tokens = int(inputs["attention_mask"].sum())
        if tokenizer.unknown > _MANY_UNKNOWN * tokens:
            warnings.warn(
                f"{tokenizer.unknown / tokens:.0%} of the tokens of the {self.called} "
                f"texts of {place} are unknown to its tokenizer. Take one for their "
                "language, or a larger vocab_size.",
                stacklevel=2,
            )
        small = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.int32
        return {
            name: array.astype(small if name == IDS else np.uint8)
            for name, array in inputs.items()
        }


def token_source(
    place: str,
    train: Texts,
    test: Texts,
    labels: Labels,
    options: TextOptions,
    metrics: Sequence[str] | None,
    fingerprint: str,
) -> Source:
    """Returns the source of labelled texts.

    Args:
        place: Name of the data set, for errors and warnings.
        train: The training texts.
        test: The test texts.
        labels: Their labels.
        options: How they become inputs.
        metrics: Names of what measures the task, the first first; `None` for accuracy,
            or of a regression both correlations.
        fingerprint: A text that changes with the texts.

    Raises:
        ValueError: If a text has no token, or all take more than 1 GiB.
    """
    metrics = _metrics(place, labels, metrics)
    tokenizer = options.tokenizer_for([*train.texts, *(train.pairs or ())])
    _require_memory(place, len(train.texts) + len(test.texts), tokenizer)
    _warn_of_shared(place, train, test)
    parts = [one.encode(tokenizer, place) for one in (train, test)]
    settings = {
        "text_length": tokenizer.length,
        "vocab_size": options.rows(tokenizer),
        "pairs": train.pairs is not None,
        "tokenizer": tokenizer.to_json(),
    }
    return dataclasses.replace(
        in_memory(
            (parts[0], labels.train), (parts[1], labels.test), labels.class_names, place
        ),
        input_shape=(tokenizer.length,),
        kind=TEXTS,
        task=labels.task,
        metrics=metrics,
        settings=settings,
        fingerprint=lambda: _digest(fingerprint, settings),
    )


def _metrics(
    place: str, labels: Labels, given: Sequence[str] | None
) -> tuple[str, ...]:
    known = METRICS[labels.task]
    if given is None:
        return known[:1] if labels.task == CLASSIFICATION else known
    for name in given:
        require_known(f"metric of a {labels.task} in {place}", name, known)
    if "f1" in given and len(labels.class_names) != 2:
        raise ValueError(
            f"f1 is of two classes, of which the second is what is looked for, and "
            f"{place} has {len(labels.class_names)}."
        )
    return tuple(given)


def _require_memory(place: str, count: int, tokenizer: Tokenizer) -> None:
    a_token = 4 if tokenizer.vocab_size <= 1 << 16 else 6
    needed = count * tokenizer.length * a_token
    if needed > LARGEST_IN_MEMORY:
        raise ValueError(
            f"The tokens of {place} take {needed / 2**30:.1f} GiB, and "
            f"{LARGEST_IN_MEMORY >> 30} GiB are the most. Give fewer texts, or a "
            f"smaller text_length than {tokenizer.length}."
        )


def _warn_of_shared(place: str, train: Texts, test: Texts) -> None:
    known = set(_keys(train))
    shared = sum(key in known for key in _keys(test))
    if shared:
        warnings.warn(
            f"{shared:,} of the {len(test.texts):,} test texts of {place} are training "
            "texts, too: the test is too good by them.",
            stacklevel=2,
        )


def _keys(part: Texts) -> list[tuple[str, str]]:
    pairs = part.pairs or ("",) * len(part.texts)
    return [(a.strip(), b.strip()) for a, b in zip(part.texts, pairs)]


def _digest(content: str, settings: dict[str, Any]) -> str:
    words = json.dumps([content, settings], sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()
