"""Tokens of a text as the input of a network, by the `tokenizers` library and NumPy."""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np

from converters.packages.layout import TOKENIZER, read_file
from converters.packages.replaying import check_sums, read_metadata
from converters.runtime import Interpreter

# Of a tokenizer, in bytes.
_LARGEST = 2**28
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
INPUTS = (IDS, MASK, TYPES)
# A text, or two.
Text = Union[str, tuple[str, str]]


class TextInput:
    """The tokens of a text, or of a pair of texts.

    What becomes of a text stands in the JSON of the tokenizer: which tokens, to how
    many they are cut, and with what they are filled up.

    Args:
        tokenizer: The content of a `tokenizer.json` of the `tokenizers` library, which
            truncates and pads to one length.
        pairs: Whether an input is a pair of texts. Defaults to `False`.

    Attributes:
        tokenizer: As given.
        pairs: As given.
        length: Number of tokens of an input.
        rows: The largest token, plus one.
        truncated: How many texts (or pairs) of the last `encode` were cut.

    Raises:
        ImportError: If `tokenizers` is not installed.
        ValueError: If the tokenizer is damaged, or has no such length.

    Example:
        >>> import tokenizers
        >>> words = {"[PAD]": 0, "[UNK]": 1, "good": 2, "film": 3}
        >>> made = tokenizers.Tokenizer(tokenizers.models.WordPiece(words))
        >>> made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        >>> made.enable_truncation(4)
        >>> made.enable_padding(length=4)
        >>> tokens = TextInput(made.to_str())
        >>> tokens("good film")["input_ids"]
        array([2, 3, 0, 0], dtype=int32)
    """

    def __init__(self, tokenizer: str, pairs: bool = False):
        self._library = _loaded(tokenizer)
        cut, filled = self._library.truncation, self._library.padding
        lengths = {(cut or {}).get("max_length"), (filled or {}).get("length")}
        (length, *others) = lengths
        if others or not isinstance(length, int) or length < 1:
            raise ValueError(
                "the tokenizer must truncate and pad to one length "
                "(enable_truncation, enable_padding of tokenizers)"
            )
        self.tokenizer, self.pairs, self.length = tokenizer, bool(pairs), length
        vocabulary = self._library.get_vocab(with_added_tokens=True)
        self.rows = max(vocabulary.values(), default=-1) + 1
        self.truncated = 0

    @classmethod
    def of(cls, facts: Mapping[str, Any], tokenizer: str) -> TextInput:
        """Returns the input that `as_dict` described.

        Args:
            facts: What it returned.
            tokenizer: The content of the `tokenizer.json`.

        Raises:
            ValueError: If that is damaged.
        """
        try:
            made = cls(tokenizer, bool(facts["pairs"]))
            length = int(facts["tokens"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"its entry of texts is damaged: {error!r}") from error
        if made.length != length:
            raise ValueError(
                f"its tokenizer makes {made.length} tokens, and not {length}"
            )
        return made

    @classmethod
    def of_package(cls, folder: str | os.PathLike[str]) -> TextInput:
        """Returns how a text becomes the input of a package.

        Args:
            folder: A folder of `package`.

        Raises:
            FileNotFoundError: If a file of it is missing.
            ValueError: If the package takes no texts, or is damaged.
        """
        folder = pathlib.Path(folder)
        check_sums(folder)
        facts = read_metadata(folder).get("text")
        if facts is None:
            raise ValueError(f"{folder} takes no texts: it was packaged without one.")
        try:
            content = read_file(folder / TOKENIZER, _LARGEST).decode("utf-8")
            return cls.of(facts, content)
        except ValueError as error:
            raise ValueError(f"{TOKENIZER} of {folder} is damaged: {error}.") from error

    def require_fit(self, interpreter: Interpreter, name: object) -> int:
        """Raises a ValueError unless a file takes these inputs, with all tokens.

        Args:
            interpreter: What runs the file.
            name: What to call the file.

        Returns:
            How many rows its table of words has beyond the tokens.
        """
        found = {info.name: (info.shape[1:], info.dtype) for info in interpreter.inputs}
        if found != {name: (self.shape, np.dtype(np.int32)) for name in INPUTS}:
            raise ValueError(
                f"{name} takes {_listed(found)}, and its tokenizer makes "
                f"{', '.join(INPUTS)} of {self.shape}."
            )
        rows = {info.name: info.rows for info in interpreter.inputs}[IDS]
        if rows is not None and rows < self.rows:
            raise ValueError(
                f"{name} has rows for {rows:,} tokens, and its tokenizer has "
                f"{self.rows:,}: it is the tokenizer of another model."
            )
        return 0 if rows is None else rows - self.rows

    @property
    def shape(self) -> tuple[int]:
        """Shape of each of the three inputs without the batch."""
        return (self.length,)

    def words(self) -> str:
        """Returns what is done, as one line."""
        kind = "a pair of texts" if self.pairs else "a text"
        return f"{kind} as {self.length} tokens, int32, by tokenizer.json"

    def as_dict(self) -> dict[str, Any]:
        """Returns it as plain data for JSON, without the tokenizer."""
        return {"tokens": self.length, "pairs": self.pairs, "inputs": list(INPUTS)}

    def __call__(self, text: Text) -> dict[str, np.ndarray]:
        """Returns the inputs that a text becomes; warns of one that is cut.

        Args:
            text: The text, or of pairs a tuple of both.

        Returns:
            `input_ids`, `attention_mask` and `token_type_ids`, int32 (tokens,).

        Raises:
            ValueError: If it is no text of Unicode, one where two are needed, or has no
                token; of a pair, if one of its texts has none.
        """
        arrays, is_cut = self._encoded(text)
        if is_cut:
            warnings.warn(
                f"{shortened(text)} has more than {self.length} tokens; the rest is "
                "left out.",
                stacklevel=2,
            )
        return arrays

    def encode(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Returns the inputs of several texts; `truncated` counts those that are cut.

        Args:
            texts: The texts.
            pairs: The second text of each. Defaults to `None`.

        Returns:
            The arrays of `__call__`, (texts, tokens).

        Raises:
            ValueError: As `__call__`; it names the text. Or for other numbers of texts
                and pairs.
        """
        if not len(texts) or (pairs is not None and len(pairs) != len(texts)):
            raise ValueError(
                "texts and pairs must be equally many, and at least one. Received: "
                f"{len(texts)} texts and {'no' if pairs is None else len(pairs)} pairs."
            )
        given: list[Text] = list(texts if pairs is None else zip(texts, pairs))
        rows = []
        self.truncated = 0
        for one in given:
            try:
                arrays, is_cut = self._encoded(one)
            except ValueError as error:
                raise ValueError(f"{shortened(one)} {error}.") from error
            rows.append(arrays)
            self.truncated += is_cut
        return {name: np.stack([row[name] for row in rows]) for name in INPUTS}

    def _encoded(self, text: Text) -> tuple[dict[str, np.ndarray], bool]:
        """Returns the inputs of a text, and whether it is cut."""
        parts = self._parts(text)
        try:
            found = self._library.encode(*parts)
        except Exception as error:  # The library raises Exception itself.
            raise ValueError(f"cannot become tokens ({error})") from error
        if all(found.special_tokens_mask):
            raise ValueError("has no token")
        for index, called in enumerate(("first", "second") if self.pairs else ()):
            if index not in found.sequence_ids:
                raise ValueError(f"has no token in the {called} text of the pair")
        arrays = (found.ids, found.attention_mask, found.type_ids)
        named = {n: np.array(a, np.int32) for n, a in zip(INPUTS, arrays)}
        return named, bool(found.overflowing)

    def of_file(
        self, path: str | os.PathLike[str], decode: Any = None
    ) -> dict[str, np.ndarray]:
        """Returns the inputs that the text in a file becomes.

        Args:
            path: A file of UTF-8.
            decode: Not used: there is nothing to decode. Defaults to `None`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it holds no such text, or a pair is needed.
        """
        path = pathlib.Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist.")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except ValueError as error:
            raise ValueError(f"{path} is no text in UTF-8 ({error}).") from error
        try:
            return self(text)
        except ValueError as error:
            raise ValueError(f"{path} {error}.") from error

    def _parts(self, text: Text) -> tuple[str, ...]:
        parts = (text,) if isinstance(text, str) else tuple(text)
        for part in parts:
            if not isinstance(part, str) or _is_broken(part):
                raise ValueError("is no text in Unicode")
        if len(parts) != 1 + self.pairs:
            wanted = "a pair of texts" if self.pairs else "one text"
            given = "a pair of texts" if len(parts) == 2 else f"{len(parts)} texts"
            given = "one text" if len(parts) == 1 else given
            raise ValueError(f"is {given}; the network takes {wanted}")
        return parts


def _listed(inputs: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> str:
    return ", ".join(f"{name} of {shape}" for name, (shape, _) in inputs.items())


def _loaded(content: str) -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            f"Texts need tokenizers, which is missing here ({error}). Install it: pip "
            "install tokenizers"
        ) from error
    try:
        return tokenizers.Tokenizer.from_str(content)
    except Exception as error:  # The library raises Exception itself.
        line = " ".join(str(error).split())[:120].rstrip(".")
        raise ValueError(f"no JSON of a tokenizer ({line})") from error


def _is_broken(text: str) -> bool:
    """Whether a text holds bytes of no encoding."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def shortened(text: Text) -> str:
    """Returns the beginning of a text, quoted.

    Example:
        >>> shortened("a good film")
        "'a good film'"
    """
    first = text if isinstance(text, str) else text[0]
    return repr(first if len(first) <= 40 else f"{first[:40]}...")
