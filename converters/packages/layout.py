"""The files of a package, and its golden arrays, checked before they are unpacked."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import stat
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.runtime import Interpreter, TensorInfo

MODEL, GOLDEN, LABELS = "model.tflite", "golden.npz", "labels.txt"
METADATA, README, SUMS = "metadata.json", "README.md", "SHA256SUMS"
TOKENIZER = "tokenizer.json"
# What a package may hold unpacked: 4 GiB, and far more samples than are useful.
_MOST_BYTES = 2**32
_MOST_SAMPLES = 2**20


@dataclasses.dataclass(frozen=True)
class Golden:
    """The inputs and answers of a file where it was packaged.

    Attributes:
        inputs: Arrays (samples, ...) by name.
        outputs: Arrays (samples, ...) by name.
        keras: Outputs of the Keras model by name, if the package has them.
        signs: For each operator that makes signs, an array (samples, ...) of words.
        margin: How far the nearest value before a sign is from zero, (samples,).
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    keras: dict[str, np.ndarray]
    signs: list[np.ndarray]
    margin: np.ndarray


def answers(
    interpreter: Interpreter, arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the outputs of a file as a package holds them.

    Args:
        interpreter: Runs the file.
        arrays: The inputs by name, (samples, ...).

    Returns:
        Arrays (samples, ...) by name. An output without an axis for the batch is there
        once for each sample.

    Raises:
        ValueError: If an output has another size for each input.
    """
    parts: list[dict[str, np.ndarray]] = []
    for index in range(len(next(iter(arrays.values())))):
        found = interpreter.predict(
            {n: a[index : index + 1] for n, a in arrays.items()}
        )
        if not isinstance(found, dict):
            found = {interpreter.outputs[0].name: found}
        parts.append(found)
    return {
        info.name: np.stack([of_sample(interpreter, info, p[info.name]) for p in parts])
        for info in interpreter.outputs
    }


def of_sample(
    interpreter: Interpreter, info: TensorInfo, array: np.ndarray
) -> np.ndarray:
    """Returns the output of a file for one sample, without the axis of the batch.

    Args:
        interpreter: Runs the file.
        info: The output.
        array: The array that the file returned.

    Raises:
        ValueError: If its size is not that of the file.
    """
    shape = _shape_of_sample(interpreter, info)
    if array.size != math.prod(shape):
        raise ValueError(
            f"Output {info.name!r} of {info.shape} is {array.shape} for one of these "
            "inputs, and a package holds arrays of one size. Leave the output out, or "
            "fill it up to one size in the model."
        )
    return array.reshape(shape)


def _shape_of_sample(interpreter: Interpreter, info: TensorInfo) -> tuple[int, ...]:
    has_batch = info.shape[:1] == (interpreter.batch_size,)
    return info.shape[1:] if has_batch else info.shape


def read_file(path: pathlib.Path, most: int = 2**31) -> bytes:
    """Returns the content of a file of a package; refuses links, pipes and devices.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If it is none, or too large.
    """
    kind = path.lstat().st_mode
    if stat.S_ISLNK(kind) and not _stays(path):
        raise ValueError(f"{path.name} of {path.parent} is a link out of the package.")
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path.name} of {path.parent} is no file.")
    if found.st_size > most:
        raise ValueError(
            f"{path.name} of {path.parent} has {found.st_size:,} bytes, and {most:,} "
            "are the most."
        )
    return path.read_bytes()


def _stays(path: pathlib.Path) -> bool:
    """Whether a link leads to a file of its own folder."""
    return path.resolve().parent == path.parent.resolve()


def read_golden(
    folder: pathlib.Path,
    content: Mapping[str, Any],
    interpreter: Interpreter,
    operators: Sequence[int],
) -> Golden:
    """Returns the golden arrays of a package.

    Args:
        folder: The package.
        content: Its metadata.
        interpreter: Its file, which knows the shapes of the arrays.
        operators: Indices of the operators that make signs.

    Raises:
        ValueError: If something is missing, damaged or of another shape; nothing is
            unpacked that does not fit the file.
    """
    try:
        inputs = _arrays_of(content, "inputs", "array")
        outputs = _arrays_of(content, "outputs", "array")
        keras = _arrays_of(content, "outputs", "keras", optional=True)
        given = {info.name: info for info in interpreter.inputs}
        made = {info.name: info for info in interpreter.outputs}
        if set(inputs) != set(given) or set(outputs) != set(made):
            raise ValueError("it has other inputs or outputs than the file")
    except ValueError as error:
        raise ValueError(
            f"{METADATA} of {folder} does not belong to {MODEL}: {error}."
        ) from error
    shapes: dict[str, tuple[int, ...]] = {"margin": ()}
    shapes.update({array: given[name].shape[1:] for name, array in inputs.items()})
    for name, array in (*outputs.items(), *keras.items()):
        shapes[array] = _shape_of_sample(interpreter, made[name])
    file = interpreter.file
    for operator in operators:
        words = file.operators[operator].outputs[0]
        shapes[f"signs_{operator}"] = file.shape(words)
    try:
        found = _unpacked(folder / GOLDEN, shapes)
    except ValueError as error:
        raise ValueError(f"{GOLDEN} of {folder} is damaged: {error}.") from error
    return Golden(
        {name: found[array] for name, array in inputs.items()},
        {name: found[array] for name, array in outputs.items()},
        {name: found[array] for name, array in keras.items()},
        [found[f"signs_{operator}"] for operator in operators],
        found["margin"],
    )


def _arrays_of(
    content: Mapping[str, Any], side: str, key: str, optional: bool = False
) -> dict[str, str]:
    """Returns the names of arrays by the names of inputs or outputs."""
    entries = content.get(side)
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{side} is no list")
    arrays = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ValueError(f"an entry of {side} has no name")
        if key not in entry and optional:
            continue
        if not isinstance(entry.get(key), str):
            raise ValueError(f"{entry['name']} of {side} has no {key}")
        arrays[entry["name"]] = entry[key]
    return arrays


def _unpacked(
    path: pathlib.Path, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Returns arrays of given shapes for a sample; refuses others unread."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise ValueError("it holds an array twice")
            samples = {}
            for name, shape in shapes.items():
                samples[name] = _samples(archive, name, shape)
            if len(set(samples.values())) > 1:
                raise ValueError(f"its arrays hold {samples} samples")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in shapes}
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        KeyError,
        NotImplementedError,
    ) as error:
        raise ValueError(" ".join(str(error).split())) from error
    for name, array in found.items():
        if name.startswith("signs_") and array.dtype != np.int32:
            raise ValueError(f"{name} is of {array.dtype}")
        if (
            array.dtype.kind == "f"
            and name != "margin"
            and not np.isfinite(array).all()
        ):
            raise ValueError(f"{name} holds NaN or infinity")
    return found


def _samples(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> int:
    """Returns how many samples an array has, from its heading alone."""
    member = f"{name}.npy"
    if member not in archive.namelist():
        raise ValueError(f"{name} is missing")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        full, _, dtype = read(stream)
        start = stream.tell()
    if dtype.hasobject or dtype.kind not in "fiub":
        raise ValueError(f"{name} is of {dtype}")
    if not full or len(full) != 1 + len(shape) or not 0 < full[0] <= _MOST_SAMPLES:
        raise ValueError(f"{name} has the shape {full}")
    # A tensor of the inside may hold several rows of a sample.
    if full[1:] != shape:
        raise ValueError(f"{name} has the shape {full}, and not (samples, *{shape})")
    size = start + math.prod(full) * dtype.itemsize
    if archive.getinfo(member).file_size != size or size > _MOST_BYTES:
        raise ValueError(f"{name} has another length than its heading")
    return int(full[0])
