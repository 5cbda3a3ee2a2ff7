"""Packages that take texts: what a text becomes, where, and what is refused."""

import json
import shutil
import warnings

import numpy as np
import pytest

import converters
from converters import Classifier, TextInput
from larq_bnnopt.cli import main
from larq_bnnopt.datasets import Tokenizer

from ..conftest import small_bert
from .test_preprocessing import on_a_board

TEXTS = [
    "a good film",
    "a bad film, and a long one",
    "good and bad",
    "",
    "naïve films are NOT good!",
    "unknowable ☃ words",
]
NAMES = ["bad", "good"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.trained([*TEXTS, "not a film"] * 5, 60, length=8)


@pytest.fixture(scope="module")
def packaged(tokenizer, tmp_path_factory):
    model = small_bert(num_layers=1, vocab_size=tokenizer.vocab_size)
    inputs = tokenizer.encode([text for text in TEXTS if text])
    folder = tmp_path_factory.mktemp("packages") / "device"
    converters.package(
        converters.convert(model, inputs=inputs),
        folder,
        inputs=inputs,
        model=model,
        class_names=NAMES,
        preprocessing=TextInput(tokenizer.to_json()),
    )
    return folder, model


@pytest.mark.parametrize("pairs", [False, True])
def test_tokens_are_those_of_the_training(tokenizer, pairs):
    tokens = TextInput(tokenizer.to_json(), pairs)
    texts = [text for text in TEXTS if text]
    seconds = [" ".join(texts[: count + 1]) for count in range(len(texts))]
    for second in (seconds, seconds[::-1]) if pairs else (None,):
        expected = tokenizer.encode(texts, second)
        given = list(zip(texts, second)) if pairs else texts
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = [tokens(one) for one in given]
        for name, array in expected.items():
            found = np.stack([row[name] for row in rows])
            np.testing.assert_array_equal(found, array)
            assert found.dtype == np.int32
    assert tokens.rows == tokenizer.vocab_size and tokens.shape == (8,)
    assert TextInput.of(tokens.as_dict(), tokenizer.to_json()).pairs == pairs


def test_what_is_cut_is_said(tokenizer):
    tokens = TextInput(tokenizer.to_json())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokens("a good film")
    with pytest.warns(UserWarning, match="'good good .*' has more than 8 tokens"):
        tokens("good " * 9)


def test_texts_that_are_none_are_refused(tokenizer):
    tokens, pairs = (TextInput(tokenizer.to_json(), two) for two in (False, True))
    for given, match in (
        ("", "has no token"),
        (" \t\n", "has no token"),
        ("\udcff", "no text in Unicode"),
        (("a", "b"), "is a pair of texts; the network takes one text"),
    ):
        with pytest.raises(ValueError, match=match):
            tokens(given)
    with pytest.raises(ValueError, match="is one text; the network takes a pair"):
        pairs("a good film")
    for given, called in (("a film", " "), "second"), (("", "a film"), "first"):
        with pytest.raises(ValueError, match=f"no token in the {called} text of the"):
            pairs(given)


def test_texts_without_their_pairs_are_refused(tokenizer):
    tokens = TextInput(tokenizer.to_json(), pairs=True)
    with pytest.raises(ValueError, match="Received: 2 texts and 1 pairs"):
        tokens.encode(["a good film", "not"], ["a film"])
    with pytest.raises(ValueError, match=r"at least one\. Received: 0 texts and 0"):
        tokens.encode([], [])


def test_what_the_library_cannot_read_is_named(tokenizer):
    content = json.loads(tokenizer.to_json())
    content["model"]["vocab"].pop("[UNK]")
    content["added_tokens"] = [
        one for one in content["added_tokens"] if one["content"] != "[UNK]"
    ]
    with pytest.raises(ValueError, match=r"'zzz' cannot become tokens \(.*\[UNK\]"):
        TextInput(json.dumps(content)).encode(["zzz"])


def test_tokenizers_that_cannot_be_used_are_refused(tokenizer):
    with pytest.raises(ValueError, match="no JSON of a tokenizer"):
        TextInput("{}")
    content = json.loads(tokenizer.to_json())
    for change in ({"padding": None}, {"truncation": None}):
        with pytest.raises(ValueError, match="truncate and pad to one length"):
            TextInput(json.dumps({**content, **change}))


def test_a_package_holds_its_tokenizer(packaged, tokenizer):
    folder, _ = packaged
    assert (folder / "tokenizer.json").read_text() == tokenizer.to_json()
    assert "tokenizer.json" in (folder / "SHA256SUMS").read_text()
    content = json.loads((folder / "metadata.json").read_text())
    assert content["text"] == {
        "tokens": 8,
        "pairs": False,
        "inputs": ["input_ids", "attention_mask", "token_type_ids"],
    }
    assert content["image"] is None and converters.takes_texts(folder)
    replay = converters.replay(folder)
    assert replay.passed and replay.samples == 5


def test_a_text_is_classified_as_by_keras(packaged, tokenizer):
    folder, model = packaged
    classifier = Classifier.of_package(folder)
    for text in ("a good film", "not a film"):
        found = classifier.predict(text, top=2)
        scores = model.predict(tokenizer.encode([text]), verbose=0)[0]
        assert found.classes[0] == NAMES[scores.argmax()]
        np.testing.assert_allclose(found.scores, -np.sort(-scores), atol=1e-6)
    with pytest.raises(ValueError, match=r"'' has no token\."):
        classifier.predict("")
    with pytest.raises(ValueError, match="takes a text, and no array"):
        classifier.predict(np.zeros(8))


def test_the_readme_runs(packaged, monkeypatch, capsys):
    folder, _ = packaged
    monkeypatch.chdir(folder)
    page = (folder / "README.md").read_text()
    assert 'bnnopt predict . --text "a text"' in page
    programs = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    assert len(programs) == 2
    for program in programs:
        exec(program, {})
    assert "good: " in capsys.readouterr().out


def test_a_board_predicts_texts(packaged, tmp_path):
    """Without larq, and without TensorFlow where ai-edge-litert runs the file."""
    folder, _ = packaged
    words = ["predict", str(folder), "--text", "a good film", "--top", "2", "--json"]
    run = on_a_board(
        f"from larq_bnnopt.cli import main; sys.exit(main({words!r}))", tmp_path
    )
    assert run.returncode == 0, run.stderr
    (entry,) = json.loads(run.stdout)["texts"]
    found = Classifier.of_package(folder).predict("a good film", top=2)
    assert [one["class"] for one in entry["top"]] == list(found.classes)
    scores = [one["score"] for one in entry["top"]]
    np.testing.assert_allclose(scores, found.scores, atol=1e-6)


def test_the_command_predicts_texts(packaged, tmp_path, capsys):
    folder, _ = packaged
    (tmp_path / "reviews.csv").write_text("text,stars\na bad film,1\na good film,5\n")
    table = str(tmp_path / "reviews.csv")
    assert main(["predict", str(folder), table, "--top", "2", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [entry["text"] for entry in content["texts"]] == [
        "a bad film",
        "a good film",
    ]
    classifier = Classifier.of_package(folder)
    for entry in content["texts"]:
        found = classifier.predict(entry["text"], top=2)
        assert [one["class"] for one in entry["top"]] == list(found.classes)
        scores = [one["score"] for one in entry["top"]]
        np.testing.assert_allclose(scores, found.scores, atol=1e-6)
    # The file of a package is the package.
    given = [str(folder / "model.tflite"), "--text", "a film", "--text", "good " * 9]
    assert main(["predict", *given]) == 0
    assert "1 text has more than 8 tokens and is cut" in capsys.readouterr().out
    for arguments, words in (
        ([], "--text"),
        (["photo.jpg"], "photo.jpg"),
        (["--text", "a", "--text", "b", "--pair", "c"], "2 texts, 1 pairs"),
        (["--text", "a", "--pair", "b"], "one text each"),
    ):
        assert main(["predict", str(folder), *arguments]) == 2
        said = capsys.readouterr().err
        assert words in said and len(said.splitlines()) == 1


def test_a_tokenizer_of_another_model_is_refused(packaged, tokenizer, tmp_path):
    folder, _ = packaged
    content = (folder / "model.tflite").read_bytes()
    with np.load(folder / "golden.npz") as golden:
        arrays = [golden[f"input_{index}"] for index in range(3)]
    words = "quick brown foxes jump over lazy dogs while we watch them and laugh"
    larger = Tokenizer.trained([words] * 9, 200, length=8)
    assert larger.vocab_size > tokenizer.vocab_size
    for other, match in (
        (larger.to_json(), "rows for .* tokens, and its tokenizer has"),
        (Tokenizer(tokenizer.to_json(), 16).to_json(), r"makes .* of \(16,\)"),
    ):
        with pytest.raises(ValueError, match=match):
            converters.package(
                content, tmp_path / "no", inputs=arrays, preprocessing=TextInput(other)
            )
    assert not (tmp_path / "no").exists()


def test_rows_without_a_token_are_said(packaged, tokenizer, tmp_path):
    folder, _ = packaged
    with np.load(folder / "golden.npz") as golden:
        arrays = [golden[f"input_{index}"] for index in range(3)]
    smaller = Tokenizer.trained(["a film"], 200, length=8)
    spare = tokenizer.vocab_size - smaller.vocab_size
    assert spare > 0
    with pytest.warns(UserWarning, match=f"^{spare} rows .* belong to no token"):
        converters.package(
            (folder / "model.tflite").read_bytes(),
            tmp_path / "padded",
            inputs=arrays,
            preprocessing=TextInput(smaller.to_json()),
        )
    assert converters.takes_texts(tmp_path / "padded")


def test_a_damaged_tokenizer_is_named(packaged, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(packaged[0], folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json of .* is damaged"):
        Classifier.of_package(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json of .* is missing"):
        Classifier.of_package(folder)


def test_tokens_beyond_the_table_are_refused(packaged):
    interpreter = converters.Interpreter(packaged[0] / "model.tflite")
    (info,) = [one for one in interpreter.inputs if one.name == "input_ids"]
    given = {one.name: np.zeros((1, 8), np.int32) for one in interpreter.inputs}
    for wrong in (info.rows, -1):
        given["input_ids"][0, 3] = wrong
        with pytest.raises(ValueError, match=f"to {info.rows - 1}. Received: {wrong}"):
            interpreter.predict(given)
    given["input_ids"][0, 3] = info.rows - 1
    assert interpreter.predict(given).shape == (1, 2)
