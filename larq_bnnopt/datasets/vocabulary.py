"""WordPiece vocabularies trained on texts, the same in each process.

The trainer of the `tokenizers` library numbers letters in the order of a hash table,
and settles ties by these numbers: two trainings on the same texts give other
vocabularies. Here it gets the letters in a fixed order.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Sequence
from typing import Any

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LEAST = 16
_CONTINUED = "##"
_MIN_FREQUENCY = 2
# Tokens of single letters, first and later ones in a word, that a language needs.
_LETTERS = 100


def trained_vocabulary(
    texts: Iterable[str],
    size: int,
    library: Any,
    normalize: Callable[[str], str],
    split: Callable[[str], list[tuple[str, Any]]],
) -> list[str]:
    """Returns a WordPiece vocabulary of texts.

    It begins with the special tokens and single letters: the most frequent ones, up to
    half of a vocabulary of more than 200 tokens, which leaves room for words. Words
    with other letters are unknown. Then the pair of tokens that is most frequent
    becomes a token, again and again.

    Args:
        texts: The texts.
        size: Number of tokens at most; fewer if no pair occurs twice any more.
        library: The module `tokenizers`.
        normalize: Returns a text in the form that is split, such as lower case.
        split: Returns the words of a normalized text, each with where it lies.

    Returns:
        The tokens in the order of their ids.

    Raises:
        ValueError: If the size is below 16, or the texts have no word.
    """
    if size < LEAST:
        raise ValueError(f"vocab_size must be at least {LEAST}. Received: {size}")
    normal = [normalize(text) for text in texts]
    chunks = collections.Counter(chunk for text in normal for chunk in text.split())
    words = {chunk: [word for word, _ in split(chunk)] for chunk in chunks}
    most = min(size - len(SPECIAL), max(size // 2, _LETTERS))
    letters = _letters(chunks, words, most)
    if not letters:
        raise ValueError("The texts have no word to make a vocabulary of.")
    known = {letter for letter in letters if len(letter) == 1}
    spaced = {
        chunk: " ".join(word for word in found if known.issuperset(word))
        for chunk, found in words.items()
    }
    tokenizer = library.Tokenizer(library.models.WordPiece(unk_token=SPECIAL[1]))
    tokenizer.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    trainer = library.trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=_MIN_FREQUENCY,
        special_tokens=[*SPECIAL, *letters],
        show_progress=False,
    )
    lines = (" ".join(spaced[chunk] for chunk in text.split()) for text in normal)
    tokenizer.train_from_iterator(lines, trainer=trainer)
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _letters(
    chunks: collections.Counter[str], words: dict[str, list[str]], most: int
) -> Sequence[str]:
    """Returns the tokens of single letters: first in a word, and later (`##`)."""
    later = {letter for found in words.values() for w in found for letter in w[1:]}
    count: collections.Counter[str] = collections.Counter()
    for chunk, found in words.items():
        for word in found:
            for letter in word:
                count[letter] += chunks[chunk]
    kept: list[str] = []
    for letter in sorted(count, key=lambda one: (-count[one], one)):
        forms = [letter, _CONTINUED + letter] if letter in later else [letter]
        if len(kept) + len(forms) > most:
            break
        kept += forms
    return sorted(kept, key=lambda form: (len(form), form))
