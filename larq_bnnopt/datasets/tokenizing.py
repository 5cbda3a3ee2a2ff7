"""Tokens of texts: WordPiece by the `tokenizers` library, at a fixed length.

Needs NumPy and `tokenizers` alone, no TensorFlow.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from larq_bnnopt.datasets.vocabulary import SPECIAL, trained_vocabulary

TOKENIZER, VOCABULARY = "tokenizer.json", "vocab.txt"
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
LENGTH, VOCAB_SIZE = 128, 8192
_PAD, _UNKNOWN, _START, _END = SPECIAL[:4]
# Texts that are tokenized at once, whose tokens lie in memory with their places.
_AT_ONCE = 1024
# More than the tokens of a text have on average.
_CHARACTERS = 16


class Tokenizer:
    """Turns texts into the inputs of a BERT.

    A text becomes `[CLS] text [SEP]`, a pair `[CLS] text [SEP] pair [SEP]` with token
    type 1 from `pair` on, padded with `[PAD]` to the length. What is longer is
    truncated at its end, of a pair the longer text first, and counted.

    Args:
        content: The JSON of a tokenizer of the `tokenizers` library, the content of a
            `tokenizer.json`.
        length: Number of tokens of an input. Defaults to `None`, the length to which
            `content` truncates, or 128.

    Attributes:
        length: Number of tokens of an input.
        truncated: How many texts (or pairs) of the last `encode` were truncated.
        longest: The most tokens of a text (or pair) of the last `encode`, before that.
        unknown: How many tokens of the last `encode` were `[UNK]`.

    Raises:
        ImportError: If `tokenizers` is not installed.
        ValueError: If the content is damaged or lacks a special token, or the length is
            too short for a token.

    Example:
        >>> tokenizer = Tokenizer.trained(["a good film", "a bad film"], length=8)
        >>> inputs = tokenizer.encode(["a film"])
        >>> inputs["attention_mask"]
        array([[1, 1, 1, 1, 0, 0, 0, 0]], dtype=int32)
        >>> again = Tokenizer(tokenizer.to_json())
        >>> bool((again.encode(["a film"])["input_ids"] == inputs["input_ids"]).all())
        True
    """

    def __init__(self, content: str, length: int | None = None):
        library = _library()
        try:
            inner = library.Tokenizer.from_str(content)
        except Exception as error:  # The library raises Exception itself.
            raise ValueError(
                f"no JSON of a tokenizer ({_line(error)}). Write it by "
                "tokenizers.Tokenizer.save, or give vocab.txt, a token a line"
            ) from error
        if length is None:
            length = int((inner.truncation or {}).get("max_length", LENGTH))
        if length < 4:
            raise ValueError(
                "text_length must be at least 4, [CLS] text [SEP] pair. Received: "
                f"{length}"
            )
        missing = [token for token in SPECIAL[:4] if inner.token_to_id(token) is None]
        if missing:
            raise ValueError(
                f"the tokenizer has no {', '.join(missing)}, which a BERT needs: take "
                "the tokenizer of one"
            )
        self._pad, self._unknown, self._start, self._end = (
            inner.token_to_id(token) for token in SPECIAL[:4]
        )
        # What `to_json` says, so that other programs do the same with the library.
        start, end = (_START, self._start), (_END, self._end)
        inner.post_processor = library.processors.BertProcessing(end, start)
        inner.enable_truncation(length)
        inner.enable_padding(length=length, pad_id=self._pad, pad_token=_PAD)
        self._written = inner.to_str()
        inner.no_truncation()
        inner.no_padding()
        self._library = inner
        self.length = length
        self.truncated = self.longest = self.unknown = 0

    @classmethod
    def of_file(
        cls, path: str | os.PathLike[str], length: int | None = None
    ) -> Tokenizer:
        """Returns the tokenizer in a file.

        Args:
            path: A `tokenizer.json`, or a `vocab.txt` of WordPiece, a token a line. The
                latter is taken in lower case without accents, unless one of its tokens
                has an upper-case letter.
            length: As for `Tokenizer`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged; it names the file.
        """
        path = pathlib.Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"The tokenizer {path} does not exist.")
        try:
            # Not by splitlines: a token may be a character that it takes for an end.
            text = path.read_text(encoding="utf-8-sig")
        except ValueError as error:
            raise ValueError(f"{path} is no text in UTF-8 ({error}).") from error
        try:
            if path.suffix == ".json":
                return cls(text, length)
            return cls._of_vocabulary(text.rstrip("\n").split("\n"), length)
        except ValueError as error:
            raise ValueError(f"{path}: {error}.") from error

    @classmethod
    def trained(
        cls,
        texts: Iterable[str],
        vocab_size: int = VOCAB_SIZE,
        length: int | None = None,
    ) -> Tokenizer:
        """Returns a WordPiece tokenizer in lower case whose vocabulary fits texts.

        The same texts always give the same vocabulary. It is made of the beginning of
        each text, 16 characters a token of the length, since no more may be read.

        Args:
            texts: The texts.
            vocab_size: Number of tokens at most. Defaults to `8192`.
            length: As for `Tokenizer`.
        """
        library = _library()
        normalizer = library.normalizers.BertNormalizer(lowercase=True)
        splitter = library.pre_tokenizers.BertPreTokenizer()
        most = _CHARACTERS * (LENGTH if length is None else length)
        vocabulary = trained_vocabulary(
            (text[:most] for text in texts),
            vocab_size,
            library,
            normalizer.normalize_str,
            splitter.pre_tokenize_str,
        )
        return cls._of_vocabulary(vocabulary, length)

    @classmethod
    def _of_vocabulary(cls, tokens: Sequence[str], length: int | None) -> Tokenizer:
        ids = {token: number for number, token in enumerate(tokens)}
        if len(ids) < len(tokens):
            first = next(n for n, token in enumerate(tokens) if ids[token] != n)
            raise ValueError(
                f"line {first + 1} holds {tokens[first]!r}, and so does line "
                f"{ids[tokens[first]] + 1}. Each token has one line"
            )
        missing = [token for token in SPECIAL[:4] if token not in ids]
        if missing:
            raise ValueError(f"the vocabulary has no {', '.join(missing)}")
        library = _library()
        inner = library.Tokenizer(library.models.WordPiece(ids, unk_token=_UNKNOWN))
        inner.add_special_tokens([token for token in SPECIAL if token in ids])
        has_capitals = any(t != t.lower() for t in ids if t not in SPECIAL)
        inner.normalizer = library.normalizers.BertNormalizer(
            lowercase=not has_capitals
        )
        inner.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
        inner.decoder = library.decoders.WordPiece()
        return cls(inner.to_str(), length)

    @property
    def vocab_size(self) -> int:
        """The rows that an embedding of the tokens needs: the largest id, plus one."""
        return max(self._library.get_vocab(with_added_tokens=True).values()) + 1

    def to_json(self) -> str:
        """Returns it as a `tokenizer.json`, which `Tokenizer` and the library read.

        The library's own `encode` then truncates and pads to the same length.
        """
        return self._written

    def encode(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Returns the inputs of texts.

        Args:
            texts: The texts.
            pairs: The second text of each. Defaults to `None`.

        Returns:
            `input_ids`, `attention_mask` (1 for tokens, 0 for `[PAD]`) and
            `token_type_ids`, each int32 (texts, length).

        Raises:
            ValueError: If there are not as many pairs as texts, or there is a text, or
                a pair, without a token. One text of a pair may be empty, as in data
                of GLUE, whose loader warns of it.
        """
        if isinstance(texts, str) or isinstance(pairs, str):
            raise ValueError("texts are a list of texts. Received: one text")
        if pairs is not None and len(pairs) != len(texts):
            raise ValueError(
                f"Give a second text for each: {len(texts)} texts, {len(pairs)} pairs."
            )
        inputs = {
            name: np.zeros((len(texts), self.length), np.int32)
            for name in (IDS, MASK, TYPES)
        }
        inputs[IDS][:] = self._pad
        self.truncated = self.longest = self.unknown = 0
        for start in range(0, len(texts), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            parts = [self._ids(texts[part])]
            if pairs is not None:
                parts.append(self._ids(pairs[part]))
            for row, found in enumerate(zip(*parts), start=start):
                if not any(found):
                    raise ValueError(
                        f"Text {row}, counted from 0, has no token: {texts[row]!r:.60}"
                    )
                self._fill({name: array[row] for name, array in inputs.items()}, found)
        return inputs

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        for text in texts:
            if not isinstance(text, str) or _is_broken(text):
                raise ValueError(f"{text!r:.60} is no text in Unicode.")
        try:
            found = self._library.encode_batch(list(texts), add_special_tokens=False)
        except Exception as error:  # The library raises Exception itself.
            raise ValueError(f"The tokenizer refuses a text: {error}.") from error
        return [one.ids for one in found]

    def _fill(self, row: dict[str, np.ndarray], parts: tuple[list[int], ...]) -> None:
        """Writes one input: its ids, its mask and its types."""
        self.unknown += sum(part.count(self._unknown) for part in parts)
        special = 1 + len(parts)
        whole = sum(map(len, parts)) + special
        self.longest = max(self.longest, whole)
        if whole > self.length:
            self.truncated += 1
            parts = shortened(parts, self.length - special)
        ids = [self._start]
        for number, part in enumerate(parts):
            start = len(ids) if number else 0
            ids += [*part, self._end]
            row[TYPES][start : len(ids)] = number
        row[IDS][: len(ids)] = ids
        row[MASK][: len(ids)] = 1


def shortened(parts: tuple[list[int], ...], most: int) -> tuple[list[int], ...]:
    """Returns a text, or a pair, truncated to some tokens: the longer one first.

    Args:
        parts: The tokens of the text, and of its pair if it has one.
        most: Number of tokens of all.

    Example:
        >>> shortened(([1, 2, 3, 4], [5]), 3), shortened(([1, 2, 3], [4, 5, 6]), 3)
        (([1, 2], [5]), ([1], [4, 5]))
    """
    if len(parts) == 1:
        return (parts[0][:most],)
    one, other = parts
    if len(one) <= len(other):
        first = min(len(one), most // 2)
        return one[:first], other[: most - first]
    second = min(len(other), most // 2)
    return one[: most - second], other[:second]


def _is_broken(text: str) -> bool:
    """Whether a text holds bytes of no encoding, as names of files may."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            f"Texts need tokenizers, which is missing here ({error}). Install it: "
            "pip install 'larq-bnnopt[text]'"
        ) from error
    return tokenizers


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__
