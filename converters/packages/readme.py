"""README.md of a package: how a raw input becomes one, how to run and replay it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from converters.packages.layout import GOLDEN, LABELS, MODEL, SUMS, TOKENIZER
from converters.packages.preprocessing import Preprocessing

_CLASSIFY = """\
from converters import Classifier  # of larq-bnnopt, see below
classifier = Classifier.of_package(".")
found = classifier.predict("photo.jpg", top=3)  # your own
for name, score in zip(found.classes, found.scores):
    print(f"{name}: {score:.1%}")
"""
_CLASSIFY_TEXT = """\
from converters import Classifier  # of larq-bnnopt, see below
classifier = Classifier.of_package(".")
found = classifier.predict({}, top=2)  # your own
for name, score in zip(found.classes, found.scores):
    print(f"{{name}}: {{score:.1%}}")
"""
_ENCODE = """\
from converters import Interpreter, TextInput  # of larq-bnnopt, see below
tokens = TextInput.of_package(".")
batch = {{name: array[None] for name, array in tokens({}).items()}}
print(Interpreter("model.tflite").predict(batch))
"""
_PREPROCESS = """\
from converters import Interpreter, Preprocessing  # of larq-bnnopt, see below
preprocessing = {!r}
batch = preprocessing.of_file("photo.jpg")[None]  # your own
print(Interpreter("model.tflite").predict(batch))
"""


def readme(content: Mapping[str, Any]) -> str:
    """Returns the page.

    Args:
        content: The metadata of the package.
    """
    ends = [*content["inputs"], *content["outputs"]]
    lines = [f"# {content['model'] or MODEL}", ""]
    for kind, entries in (("input", content["inputs"]), ("output", content["outputs"])):
        lines += [
            f"- {kind} `{entry['name']}`: {'x'.join(map(str, entry['shape']))} of "
            f"{entry['dtype']}{_quantization(entry)}"
            for entry in entries
        ]
    if content["classes"]:
        lines.append(f"- {content['classes']} classes, a line each in `{LABELS}`")
    if content["image"]:
        lines += _photographs(Preprocessing.of(content["image"]), content["classes"])
    elif content.get("text"):
        lines += _texts(content["text"], content["classes"])
    elif content["preprocessing"]:
        lines += ["", f"Preprocessing: {content['preprocessing']}"]
    lines += _how_to_run(content["inputs"])
    if any(entry["scale"] for entry in ends):
        lines += [
            f"`{GOLDEN}` and `predict` have real numbers: float32 inputs are rounded "
            "to the quant steps of the file, and its int8 outputs are returned as "
            "float32. `predict` takes int8 inputs as they are. Any other interpreter "
            "takes and returns only int8: real = scale * (int8 - zero point).",
            "",
        ]
    return "\n".join([*lines, *_how_to_replay(content["samples"])])


def _how_to_run(inputs: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(inputs) == 1:
        batch = f'golden["{inputs[0]["array"]}"]'
    else:
        pairs = [f'{entry["name"]!r}: golden["{entry["array"]}"]' for entry in inputs]
        batch = f"{{{', '.join(pairs)}}}"
    return [
        "",
        "## Run it",
        "",
        "```python",
        "import numpy as np",
        "from converters import Interpreter  # of larq-bnnopt, see below",
        f'golden = np.load("{GOLDEN}")  # or your own inputs',
        f"batch = {batch}",
        f'print(Interpreter("{MODEL}").predict(batch))',
        "```",
        "",
        "It needs Python with the wheel of larq-bnnopt for this machine "
        "(`python tools/build_wheel.py` in its repository makes it), which brings "
        "NumPy and ai-edge-litert.",
        "",
        "Inputs that hold NaN or infinity are refused: a sign makes +1 of NaN, and "
        "other interpreters give a confident answer.",
        "",
    ]


def _how_to_replay(samples: int) -> list[str]:
    return [
        "## Replay it",
        "",
        f"`{GOLDEN}` holds {samples} inputs and the answers of the file where it was "
        "packaged. Check the files, then compare:",
        "",
        "```",
        f"sha256sum -c {SUMS}",
        "bnnopt verify .",
        "```",
        "",
        'or in Python `import converters; print(converters.replay(".").verdict)`.',
        "",
        "Machines round differently. Where a value before a sign lies within 1e-5 of "
        "zero, the sign may flip and the output differ, which is no fault. So the "
        "file also runs with the golden signs supplied: then the outputs must be "
        "equal, and a sign may flip only near zero.",
        "",
    ]


def _photographs(preprocessing: Preprocessing, classes: int | None) -> list[str]:
    """Returns how a photograph becomes the input, in words and as code."""
    (height, width), middle = preprocessing.size, preprocessing.middle
    share = "" if middle == 1 else f"{middle:g} * "
    whole = f" An image of {height}x{width} stays as it is." if middle == 1 else ""
    order = "red, green, blue" if preprocessing.channels == 3 else "grey alone"
    program = _CLASSIFY if classes else _PREPROCESS.format(preprocessing)
    lines = [
        "",
        "## From a photograph to its input",
        "",
        f"1. Decode it to 8 bits, {order}, as it is stored: a rotation that the camera "
        "noted (EXIF) is not applied.",
        f"2. Of H x W pixels keep the middle: with s = {share}min(H / {height}, "
        f"W / {width}), h = int({height} s) rows from (H - h) // 2 on and "
        f"w = int({width} s) columns from (W - w) // 2 on.{whole}",
        f"3. Resize that to {height}x{width}: bilinear with antialiasing, as "
        "`tf.image.resize(..., antialias=True)`.",
        f"4. {preprocessing.numbers}, float32, in the order row, column, channel.",
        "",
        "All that is done by",
        "",
        "```python",
        *program.splitlines(),
        "```",
        "",
    ]
    if classes:
        lines += ["or on the command line", "", "```", "bnnopt predict . photo.jpg"]
        lines += ["```", ""]
    return [
        *lines,
        "Image files need Pillow (`pip install Pillow`); a .npy file with the uint8 "
        "pixels of an image, (height, width, channels), needs nothing.",
    ]


def _texts(facts: Mapping[str, Any], classes: int | None) -> list[str]:
    """Returns how a text becomes the inputs, in words and as code."""
    text = '("the first text", "the second one")' if facts["pairs"] else '"a text"'
    form = _CLASSIFY_TEXT if classes else _ENCODE
    lines = [
        "",
        "## From a text to its inputs",
        "",
        f"1. `{TOKENIZER}`, which the library `tokenizers` reads, splits "
        + ("both texts" if facts["pairs"] else "the text")
        + f" into tokens. What is longer than {facts['tokens']} tokens is cut, what is "
        "shorter is filled up.",
        "2. `input_ids` are the numbers of the tokens; `attention_mask` is 1 for them "
        "and 0 for what is filled up; `token_type_ids` are 0, and 1 in a second text. "
        "All are int32.",
        "",
        "All that is done by",
        "",
        "```python",
        *form.format(text).splitlines(),
        "```",
        "",
    ]
    if classes:
        second = ' --pair "the second one"' if facts["pairs"] else ""
        command = f'bnnopt predict . --text "a text"{second}'
        lines += ["or on the command line", "", "```", command, "```", ""]
    return [*lines, "It needs tokenizers (`pip install tokenizers`)."]


def _quantization(entry: Mapping[str, Any]) -> str:
    """Returns scale and zero point of a quantized tensor, in words."""
    if entry["scale"] is None:
        return ""
    return f", scale {entry['scale']!r}, zero point {entry['zero_point']}"
