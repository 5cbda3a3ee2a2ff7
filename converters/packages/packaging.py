"""Packages for a device: the file, its golden answers, and how to check them."""

from __future__ import annotations

import io
import json
import os
import pathlib
import platform
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata as installed
from typing import Any

import numpy as np
import tensorflow as tf

from converters.checks.model import in_float32
from converters.conversion import Conversion
from converters.errors import ConversionError
from converters.model_arrays import (
    Inputs,
    by_name,
    check_finite,
    check_lengths,
    checked_inputs,
    input_names,
    keras_outputs,
)
from converters.packages.layout import (
    GOLDEN,
    LABELS,
    METADATA,
    MODEL,
    README,
    SUMS,
    TOKENIZER,
    answers,
)
from converters.packages.preprocessing import Preprocessing
from converters.packages.readme import readme
from converters.packages.replaying import sha256
from converters.packages.subgraph_runner import SubgraphRunner, margin
from converters.packages.text_input import TextInput
from converters.runtime import Interpreter, TensorInfo
from converters.verification.verify import verify_arrays
from converters.writing import write_synced

_VERSIONED = ("larq-bnnopt", "larq-compute-engine", "tensorflow", "larq", "numpy")


def package(
    tflite: Conversion | bytes | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    inputs: Inputs,
    model: tf.keras.Model | None = None,
    class_names: Sequence[str] | None = None,
    preprocessing: Preprocessing | TextInput | str | None = None,
    metadata: Mapping[str, Any] | None = None,
    allow_undetermined: bool = False,
) -> pathlib.Path:
    """Writes a folder for a device, with golden inputs and outputs to replay there.

    | file | holds |
    |---|---|
    | `model.tflite` | the file |
    | `golden.npz` | plain arrays: inputs, the file's outputs and signs, Keras's |
    | `labels.txt` | the classes, one a line, if they are given |
    | `metadata.json` | names, shapes, types, versions, and what you add |
    | `README.md` | how to run and how to replay it |
    | `SHA256SUMS` | what `sha256sum -c` reads |
    | `tokenizer.json` | of a network for texts: how they become tokens |

    On another machine rounding may flip a sign whose value is near zero, and then the
    outputs differ without a fault. So a package holds the signs for the golden inputs,
    and how near to zero the nearest value before a sign is: see `replay`.

    Args:
        tflite: A conversion, the content of a .tflite, or its path.
        folder: Where to write. It must not exist, or be empty.
        inputs: The golden inputs, a handful of real ones, as for `verify`; without a
            model, a sequence is in the order of the file.
        model: The Keras model, to compare with the file. Defaults to `None`.
        class_names: Names of the classes. Defaults to `None`.
        preprocessing: How a photograph or a text becomes the input, which `bnnopt
            predict` and `Classifier` then do on the device; or what to do with other
            raw inputs, in words. Defaults to `None`.
        metadata: Anything else for `metadata.json`, plain data. Defaults to `None`.
        allow_undetermined: As for `convert`. Defaults to `False`.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder holds anything.
        ConversionError: If it cannot be written, or the file does not compute what
            the model computes. Nothing is written then.
        ValueError: If the file is no .tflite, the inputs do not fit, an output is not
            finite or has another size for each input, or names or metadata are of no
            use.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import zoo_extensions as zx
        >>> from converters import convert, replay
        >>> model = zx.TinyResidualBNN(latent_weights=False)
        >>> images = np.random.default_rng(0).random((8, 28, 28, 1), np.float32)
        >>> conversion = convert(model, inputs=images)
        >>> folder = package(conversion, tempfile.mkdtemp(), inputs=images)
        >>> replay(folder).passed
        True
    """
    folder = pathlib.Path(folder)
    _check_destination(folder)
    interpreter, name = _opened(tflite)
    arrays = _golden_inputs(interpreter, model, inputs)
    content: dict[str, Any] = {
        "model": name or (model.name if model is not None else None),
        "inputs": _described(interpreter.inputs, "input"),
        "outputs": _described(interpreter.outputs, "output"),
        "classes": None if class_names is None else len(class_names),
        "preprocessing": _words(preprocessing),
        "image": _image(preprocessing, interpreter),
        "samples": len(next(iter(arrays.values()))),
        "verification": None,
        "versions": _versions(),
        "metadata": dict(metadata or {}),
    }
    files = {MODEL: interpreter.file.content}
    if isinstance(preprocessing, TextInput):
        spare = preprocessing.require_fit(interpreter, "the file")
        if spare:
            warnings.warn(
                f"{spare:,} rows of the file's table of words belong to no token of "
                "the tokenizer: right for a table that was padded, else it is the "
                "tokenizer of another model.",
                stacklevel=2,
            )
        content["text"] = preprocessing.as_dict()
        files[TOKENIZER] = preprocessing.tokenizer.encode()
    _json(content)
    if class_names is not None:
        _check_class_names(class_names, interpreter.outputs)
        files[LABELS] = "".join(f"{label}\n" for label in class_names).encode()
    golden = _golden_outputs(interpreter, arrays, content)
    if model is not None:
        model = in_float32(model)
        named = dict(zip(input_names(model), arrays.values()))
        verdict = _verified(model, interpreter, named, allow_undetermined)
        content["verification"] = verdict
        golden.update(_keras_outputs(model, named, content, golden))
    golden.update(_golden_signs(interpreter, arrays))
    files[METADATA] = _json(content)
    files[README] = readme(content).encode()
    _write(folder, files, golden)
    return folder


def _opened(
    tflite: Conversion | bytes | str | os.PathLike[str],
) -> tuple[Interpreter, str | None]:
    """Returns an interpreter of a file, and the name of its model if that is known."""
    if isinstance(tflite, Conversion):
        return Interpreter(tflite.content, backend="lce"), tflite.report.model
    return Interpreter(tflite, backend="lce"), None


def _golden_outputs(
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    content: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    """Returns inputs and outputs of a file by their names in a package."""
    outputs = answers(interpreter, arrays)
    for output, array in outputs.items():
        if not np.isfinite(array).all():
            raise ValueError(
                f"Output {output!r} of the file is not finite for these inputs, so it "
                "is no golden one."
            )
    golden = {entry["array"]: arrays[entry["name"]] for entry in content["inputs"]}
    golden.update({e["array"]: outputs[e["name"]] for e in content["outputs"]})
    return golden


def _verified(
    model: tf.keras.Model,
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    allow_undetermined: bool,
) -> str:
    """Returns the verdict on a file; refuses one that is not equivalent."""
    verification = verify_arrays(model, interpreter.file.content, arrays)
    allowed = allow_undetermined and verification.outcome == "undetermined"
    if not verification.passed and not allowed:
        raise ConversionError(
            f"The file does not compute what {model.name} computes, so no package was "
            f"written: {verification.verdict}. {verification.cure}".rstrip()
        )
    if not verification.passed:
        warnings.warn(f"{model.name}: {verification.verdict}.", stacklevel=3)
    return verification.verdict


def _keras_outputs(
    model: tf.keras.Model,
    arrays: Mapping[str, np.ndarray],
    content: Mapping[str, Any],
    golden: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Returns Keras's outputs by their names in a package, which go into `content`."""
    expected = keras_outputs(model, arrays, alone=True).arrays
    found = {}
    for entry in content["outputs"]:
        entry["keras"] = entry["array"].replace("output", "keras")
        shape = golden[entry["array"]].shape
        found[entry["keras"]] = expected[entry["name"]].reshape(shape)
    return found


def _words(preprocessing: Preprocessing | TextInput | str | None) -> str | None:
    if isinstance(preprocessing, (Preprocessing, TextInput)):
        return preprocessing.words()
    return preprocessing


def _image(
    preprocessing: Preprocessing | TextInput | str | None, interpreter: Interpreter
) -> dict[str, Any] | None:
    """Returns how an image becomes the input; refuses another shape of input."""
    if not isinstance(preprocessing, Preprocessing):
        return None
    shapes = [info.shape[1:] for info in interpreter.inputs]
    if shapes != [preprocessing.shape]:
        raise ValueError(
            f"preprocessing makes inputs of {preprocessing.shape}, and the file takes "
            f"{', '.join(map(str, shapes))}."
        )
    return preprocessing.as_dict()


def _check_destination(folder: pathlib.Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; name a folder.")
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name another folder.")
    if not folder.parent.is_dir():
        raise ConversionError(f"The folder {folder.parent} does not exist.")
    if not os.access(folder.parent, os.W_OK):
        raise ConversionError(f"{folder} cannot be written.")


def _golden_inputs(
    interpreter: Interpreter, model: tf.keras.Model | None, inputs: Inputs
) -> dict[str, np.ndarray]:
    """Returns the inputs by the names in the file; refuses what does not fit."""
    names = [info.name for info in interpreter.inputs]
    if inputs is None:
        raise ValueError(
            "A package needs inputs: a handful of real ones, to replay on the device."
        )
    if model is None:
        arrays = by_name(names, inputs)
        check_lengths(arrays)
        check_finite(arrays)
        return arrays
    arrays = checked_inputs(model, inputs)
    if len(arrays) == len(names) == 1:
        # Keras numbers the inputs of each model of a process on.
        return dict(zip(names, arrays.values()))
    return arrays


def _golden_signs(
    interpreter: Interpreter, arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the signs that the file makes, and the margin of each input."""
    runner = SubgraphRunner(interpreter.file, backend="lce")
    signs: list[list[np.ndarray]] = []
    margins = []
    for index in range(len(next(iter(arrays.values())))):
        one = {name: array[index:] for name, array in arrays.items()}
        inputs = interpreter.first_of(one)
        signs.append(runner.signs(inputs))
        values, _ = runner.run(inputs, signs[-1])
        margins.append(min(map(margin, values), default=np.inf))
    golden = {
        f"signs_{operator}": np.stack([made[place] for made in signs])
        for place, operator in enumerate(runner.operators)
    }
    return {**golden, "margin": np.array(margins)}


def _check_class_names(
    class_names: Sequence[str], outputs: Sequence[TensorInfo]
) -> None:
    if not all(
        isinstance(name, str) and name and name.splitlines() == [name]
        for name in class_names
    ):
        raise ValueError(
            f"class_names are lines of text. Received: {list(class_names)}"
        )
    sizes = [info.shape[-1] if info.shape else 1 for info in outputs]
    if len(class_names) not in sizes:
        raise ValueError(
            f"The outputs have {sizes} values. Received: {len(class_names)} class_names"
        )


def _described(tensors: Sequence[TensorInfo], kind: str) -> list[dict[str, Any]]:
    return [
        {
            "name": info.name,
            "shape": list(info.shape),
            "dtype": info.dtype.name,
            "scale": info.scale,
            "zero_point": None if info.scale is None else info.zero_point,
            "array": f"{kind}_{index}",
        }
        for index, info in enumerate(tensors)
    ]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = installed.version(name)
        except installed.PackageNotFoundError:
            continue
    return found


def _json(content: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(content, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"metadata must be plain data for JSON: {error}") from error
    return f"{text}\n".encode()


def _write(
    folder: pathlib.Path, files: Mapping[str, bytes], golden: Mapping[str, np.ndarray]
) -> None:
    """Writes all files to a temporary folder, which is renamed last."""
    temporary = None
    try:
        temporary = pathlib.Path(
            tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent)
        )
        temporary.chmod(0o755)
        packed = io.BytesIO()
        np.savez_compressed(packed, **golden)
        files = {**files, GOLDEN: packed.getvalue()}
        sums = [f"{sha256(files[name])}  {name}\n" for name in sorted(files)]
        for name, content in {**files, SUMS: "".join(sums).encode()}.items():
            write_synced(temporary / name, content)
        # An empty folder of that name is replaced, a full one is not.
        os.replace(temporary, folder)
    except OSError as error:
        raise ConversionError(f"{folder} cannot be written: {error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
