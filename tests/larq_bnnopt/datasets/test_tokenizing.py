"""Tokens of texts: the library's own answer, truncation, vocabularies that repeat."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from larq_bnnopt.datasets import Tokenizer, tokenizing

tokenizers = pytest.importorskip("tokenizers")

TEXTS = [
    "the film is good , and the story is told well",
    "the film is bad , and the story is told badly",
    "a good story told in a good film",
    "Naïve plots don't make the story told here better !",
]
PAIRS = ["is it good ?", "it is a bad film , badly told", "yes", "no , never"]


def trained(length=12, size=100):
    return Tokenizer.trained(TEXTS, size, length)


@pytest.mark.parametrize("length", [5, 8, 11, 30])
@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_tokens_are_those_of_the_library_that_reads_its_json(pairs, length):
    ours = trained(length)
    got = ours.encode(TEXTS, pairs)
    library = tokenizers.Tokenizer.from_str(ours.to_json())
    expected = library.encode_batch(list(zip(TEXTS, pairs)) if pairs else TEXTS)
    for name, wanted in (
        ("input_ids", [one.ids for one in expected]),
        ("attention_mask", [one.attention_mask for one in expected]),
        ("token_type_ids", [one.type_ids for one in expected]),
    ):
        assert got[name].dtype == np.int32
        np.testing.assert_array_equal(got[name], wanted)


def test_a_tokenizer_of_another_form_becomes_that_of_a_bert():
    library = tokenizers.Tokenizer.from_str(trained().to_json())
    library.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A [SEP]", pair="$A $B", special_tokens=[("[SEP]", 3)]
    )
    library.enable_padding(direction="left", length=20)
    ours = Tokenizer(library.to_str(), 9)
    expected = trained(9).encode(TEXTS, PAIRS)
    written = tokenizers.Tokenizer.from_str(ours.to_json())
    others = written.encode_batch(list(zip(TEXTS, PAIRS)))
    for name, array in ours.encode(TEXTS, PAIRS).items():
        np.testing.assert_array_equal(array, expected[name])
    np.testing.assert_array_equal([one.ids for one in others], expected["input_ids"])


def test_what_is_longer_is_truncated_and_counted():
    tokenizer = Tokenizer.trained(["aa aa aa bb bb"], 16, 6)
    ids = tokenizer.encode(["aa", "aa aa aa aa", "aa aa aa aa aa"])["input_ids"]
    assert (tokenizer.truncated, tokenizer.longest) == (1, 7)
    pad, unk, start, end, _ = range(5)
    aa = ids[0, 1]
    assert aa not in (pad, unk, start, end)
    assert ids[0].tolist() == [start, aa, end, pad, pad, pad]
    assert ids[1].tolist() == ids[2].tolist() == [start, aa, aa, aa, aa, end]
    tokenizer.encode(["aa"])
    assert tokenizer.truncated == 0


@pytest.mark.parametrize(
    "first, second, left",
    [
        (1, 9, (1, 4)),
        (9, 1, (4, 1)),
        (9, 9, (2, 3)),
        (9, 8, (3, 2)),
        (3, 2, (3, 2)),
        (2, 4, (2, 3)),
    ],
)
def test_of_a_pair_the_longer_text_is_truncated_first(first, second, left):
    parts = tokenizing.shortened(([1] * first, [2] * second), 5)
    assert tuple(map(len, parts)) == left


def test_a_vocabulary_is_the_same_in_each_process():
    """The library's own differs: it numbers letters as they lie in a hash table."""
    path = pathlib.Path(tokenizing.__file__).with_name("vocabulary.py")
    program = (
        "import importlib.util, json, sys, tokenizers as t\n"
        f"spec = importlib.util.spec_from_file_location('v', {os.fspath(path)!r})\n"
        "v = importlib.util.module_from_spec(spec); spec.loader.exec_module(v)\n"
        "n = t.normalizers.BertNormalizer().normalize_str\n"
        "s = t.pre_tokenizers.BertPreTokenizer().pre_tokenize_str\n"
        f"print(json.dumps(v.trained_vocabulary({TEXTS!r}, 90, t, n, s)))\n"
        "print('tensorflow' in sys.modules)\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "RAYON_NUM_THREADS": threads},
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(answers) == 1
    vocabulary, has_tensorflow = answers.pop().splitlines()
    assert has_tensorflow == "False"
    own = json.loads(trained(size=90).to_json())["model"]["vocab"]
    assert sorted(own, key=own.get) == json.loads(vocabulary)


def test_a_vocabulary_holds_the_pairs_that_are_most_frequent():
    """Two words, counted by hand: 'aba' 3 times, 'abc' 2 times."""
    ids = json.loads(Tokenizer.trained(["aba aba aba abc abc"], 40).to_json())
    tokens = ids["model"]["vocab"]
    letters = {"a", "b", "c", "##a", "##b", "##c"}
    assert letters <= set(tokens)
    # 'a ##b' occurs 5 times, 'ab ##a' 3 times, 'ab ##c' 2 times.
    found = [one for one in tokens if one not in letters and one[0] != "["]
    assert sorted(found, key=tokens.get) == ["ab", "aba", "abc"]


def test_rare_letters_leave_room_for_words():
    rare = [chr(0x4E00 + number) for number in range(300)]
    tokenizer = Tokenizer.trained(["aa bb aa bb", *rare], 250)
    tokens = json.loads(tokenizer.to_json())["model"]["vocab"]
    assert {"a", "##a", "aa", "bb"} <= tokens.keys()
    # Half of 250, of which four are forms of a and b.
    assert len(tokens.keys() & set(rare)) == 121
    tokenizer.encode(rare)
    assert tokenizer.unknown == 300 - 121


def test_a_vocabulary_in_a_file_is_that_of_its_lines(tmp_path):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film", "##s"]
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    lower = Tokenizer.of_file(path, 6)
    assert lower.vocab_size == 8 and lower.length == 6
    ids = lower.encode(["Good films"])["input_ids"][0]
    assert ids.tolist() == [2, 5, 6, 7, 3, 0]
    # With a capital letter in it, case counts.
    path.write_text("\n".join([*tokens, "Good"]), encoding="utf-8")
    cased = Tokenizer.of_file(path, 6)
    assert cased.encode(["Good good GOOD"])["input_ids"][0].tolist() == [
        2,
        8,
        5,
        1,
        3,
        0,
    ]
    (tmp_path / "tokenizer.json").write_text(cased.to_json(), encoding="utf-8")
    again = Tokenizer.of_file(tmp_path / "tokenizer.json")
    assert again.length == 6 and again.to_json() == cased.to_json()
    assert Tokenizer.of_file(tmp_path / "tokenizer.json", 9).length == 9


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n", r"vocab.txt: .* has no \[SEP\]"),
        ("vocab.txt", b"[PAD]\n[UNK]\na\na\n", "line 3 holds 'a', and so does line 4"),
        ("vocab.txt", b"caf\xe9\n", "vocab.txt is no text in UTF-8"),
        ("tokenizer.json", b"{}", "tokenizer.json: no JSON of a tokenizer"),
        ("tokenizer.json", b"", "tokenizer.json: no JSON of a tokenizer"),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        Tokenizer.of_file(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_json_without_special_tokens_is_refused():
    library = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0}))
    with pytest.raises(ValueError, match=r"has no \[PAD\], \[CLS\], \[SEP\]"):
        Tokenizer(library.to_str())


@pytest.mark.parametrize(
    "texts, pairs, message",
    [
        (["a", ""], None, "Text 1, counted from 0, has no token: ''"),
        (["\u200b"], [" "], "Text 0, counted from 0, has no token"),
        ("a film", None, "texts are a list of texts"),
        (["a", "b"], ["c"], "Give a second text for each: 2 texts, 1 pairs"),
        (["caf\udce9"], None, "is no text in Unicode"),
        ([3], None, "3 is no text in Unicode"),
    ],
)
def test_what_is_no_text_is_refused(texts, pairs, message):
    with pytest.raises(ValueError, match=message):
        trained().encode(texts, pairs)


def test_lengths_and_sizes_are_refused_that_hold_nothing():
    with pytest.raises(ValueError, match="text_length must be at least 4"):
        trained(length=3)
    with pytest.raises(ValueError, match="vocab_size must be at least 16"):
        trained(size=15)
    with pytest.raises(ValueError, match="no word to make a vocabulary of"):
        Tokenizer.trained([" ", "\u200b"])
    with pytest.raises(
        FileNotFoundError, match=r"tokenizer nowhere.json does not exist"
    ):
        Tokenizer.of_file("nowhere.json")


def test_without_the_library_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"need tokenizers.*larq-bnnopt\[text\]"):
        trained()


def test_a_vocabulary_is_made_of_what_may_be_read():
    text = "aa " * 21 + "bb bb"
    tokens = json.loads(Tokenizer.trained([text, text], length=4).to_json())["model"]
    # 64 characters, 16 for each of four tokens: "bb" begins at the 63rd.
    assert "aa" in tokens["vocab"] and "bb" not in tokens["vocab"]
    tokens = json.loads(Tokenizer.trained([text, text], length=5).to_json())["model"]
    assert {"aa", "bb"} <= tokens["vocab"].keys()


def test_one_text_of_a_pair_may_be_empty():
    """As in data of GLUE, which cannot be repaired here."""
    tokenizer = Tokenizer.trained(["a good film"], length=6)
    inputs = tokenizer.encode(["a", ""], ["", "a"])
    start, end = inputs["input_ids"][0, [0, 2]]
    np.testing.assert_array_equal(inputs["input_ids"][0, 2:4], [end, end])
    np.testing.assert_array_equal(inputs["input_ids"][1, :2], [start, end])
    np.testing.assert_array_equal(inputs["token_type_ids"][1], [0, 0, 1, 1, 0, 0])
