"""Weights of an ordinary BERT, from a safetensors file with Hugging Face names.

Everything is checked before the first weight of the model changes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from zoo_extensions.elastic import BinaryEmbedding, ElasticLinear

# Prefixes of names in the file -> our layers, outside and inside a transformer layer.
_EMBEDDINGS = {
    "embeddings.word_embeddings": "embeddings_word",
    "embeddings.position_embeddings": "embeddings_position",
    "embeddings.token_type_embeddings": "embeddings_type",
    "embeddings.LayerNorm": "embeddings_norm",
}
_IN_A_LAYER = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "attention_dense",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "intermediate",
    "output.dense": "output",
    "output.LayerNorm": "norm",
}
_TOP = {"pooler.dense": "pooler", "classifier": "classifier"}
PARTS = ("pooler", "classifier")
# Numbers of positions, which are no weights, and the heads of pre-training, for which a
# classifier has no use.
_LEFT_OUT = re.compile(r"embeddings\.(position|token_type)_ids$|cls\.")
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_CONFIG = "config.json"
# Names in a message.
_MOST = 6


@dataclasses.dataclass(frozen=True)
class _Target:
    """A weight of the model and its name in the file.

    Attributes:
        layer: The layer.
        variable: The weight.
        is_linear: Whether the file holds it transposed.
    """

    layer: tf.keras.layers.Layer
    variable: tf.Variable
    is_linear: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in the file."""
        shape = tuple(self.variable.shape)
        return shape[:-3:-1] if self.is_linear else shape


def load_bert(
    model: tf.keras.Model,
    path: str | os.PathLike[str],
    without: Collection[str] = (),
) -> list[str]:
    """Loads the weights of an ordinary BERT into a `BinaryBert`.

    The float version then computes what the file's network computes, if its `num_heads`
    and `activation` are the same: `"gelu"` for nearly all published files. A binary
    version starts from these weights as BiT does: latent weights W are those of the
    file, and latent-free ones are sign(W - mean(W)) under the scale mean(|W|), of the
    tensor or of the row. Shifts and scales of activations keep what they have; the
    first batch in training sets the scales.

    Names may begin with `bert.`, and normalizations may hold `gamma` and `beta` instead
    of `weight` and `bias`. Left out are `embeddings.position_ids`, which are no
    weights, and the heads of pre-training, `cls.*`. Anything else that only the file or
    only the model has is an error. If there is a `config.json` beside the file, its
    number of heads must be the model's, and another activation or epsilon of the
    normalizations is a warning.

    Args:
        model: A `BinaryBert` of any size, precision and kind of weights.
        path: The file, `model.safetensors` of a model of Hugging Face.
        without: Parts that keep what the model has, `"pooler"` and `"classifier"`, such
            as the classifier of another task. Defaults to `()`.

    Returns:
        The names of the tensors of the file that were left out.

    Raises:
        ImportError: If `safetensors` is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: By name, if the model is no `BinaryBert`, the file is damaged or of
            another kind, or names, shapes or the number of heads do not fit. The model
            is as it was.

    Warns:
        UserWarning: If `config.json` has another activation or `layer_norm_eps` than
            the model, or cannot be read.

    Example:
        >>> import tempfile, zoo_extensions as zx
        >>> from safetensors.numpy import save_file
        >>> model = zx.BinaryBert(
        ...     num_layers=1, hidden_size=4, num_heads=2, intermediate_size=8,
        ...     vocab_size=10, max_length=8, input_shape=(8,), include_top=False,
        ...     precision="float", activation="gelu",
        ... )
        >>> path = tempfile.mkdtemp() + "/model.safetensors"
        >>> save_file({"classifier.bias": np.zeros(2)}, path)
        >>> load_bert(model, path)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: ... lacks embeddings.word_embeddings.weight, ...

    References:
        [BERT](https://arxiv.org/abs/1810.04805)
    """
    path = pathlib.Path(path)
    unknown = sorted({*without} - {*PARTS})
    if isinstance(without, str) or unknown:
        raise ValueError(
            f"without={without!r} must be a sequence of {' and '.join(PARTS)}."
        )
    targets = _targets(model)
    with _opened(path) as file:
        names, left_out = _names(file.keys(), path, without)
        targets = {
            name: target
            for name, target in targets.items()
            if not _is_in(name, without)
        }
        shapes = {
            name: tuple(file.get_slice(own).get_shape()) for name, own in names.items()
        }
        _check(shapes, targets, path)
        _check_configuration(model, path)
        values = {
            name: _read(file, names[name], path, targets[name]) for name in targets
        }
    for name, target in targets.items():
        _assign(target, values[name])
    return left_out


def _targets(model: tf.keras.Model) -> dict[str, _Target]:
    """Returns the weights of a model by their names in files."""
    layers = {layer.name: layer for layer in model.layers}
    if not isinstance(layers.get("embeddings_word"), BinaryEmbedding):
        raise ValueError(
            f"{model.name} must be made by zx.BinaryBert or one of its sizes. "
            f"Received: a {type(model).__name__} without the layer embeddings_word."
        )
    names = {**_EMBEDDINGS, **_TOP}
    depth = sum(re.fullmatch(r"layer_\d+_query", name) is not None for name in layers)
    for index in range(depth):
        for theirs, ours in _IN_A_LAYER.items():
            names[f"encoder.layer.{index}.{theirs}"] = f"layer_{index}_{ours}"
    return {
        f"{theirs}.{part}": target
        for theirs, ours in names.items()
        if ours in layers
        for part, target in _of_layer(layers[ours])
    }


def _of_layer(layer: tf.keras.layers.Layer) -> Iterator[tuple[str, _Target]]:
    """Yields the weights of a layer that BERT has too."""
    if hasattr(layer, "embeddings"):
        yield "weight", _Target(layer, layer.embeddings)
    elif isinstance(layer, tf.keras.layers.LayerNormalization):
        yield "weight", _Target(layer, layer.gamma)
        yield "bias", _Target(layer, layer.beta)
    else:
        yield "weight", _Target(layer, layer.kernel, is_linear=True)
        yield "bias", _Target(layer, layer.bias)


def _opened(path: pathlib.Path) -> Any:
    """Returns the open file."""
    try:
        import safetensors
    except ImportError as error:
        raise ImportError(
            "Files of weights of a BERT need the library safetensors: "
            "pip install larq-bnnopt[text]"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is no file. Give the path of a model.safetensors."
        )
    try:
        return safetensors.safe_open(path, framework="numpy")
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file ({error}). From a model of PyTorch, "
            "save_pretrained(folder, safe_serialization=True) writes one."
        ) from error


def _names(
    keys: Collection[str], path: pathlib.Path, without: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Returns usual names with the file's own, and the own names that are left out."""
    names: dict[str, str] = {}
    left_out = []
    for own in sorted(keys):
        name = own.removeprefix("bert.")
        for old, new in _OLD_NAMES.items():
            name = name.removesuffix(old) + new if name.endswith(old) else name
        if _LEFT_OUT.match(name) or _is_in(name, without):
            left_out.append(own)
        elif name in names:
            raise ValueError(f"{path} holds {name} twice, as {names[name]} and {own}.")
        else:
            names[name] = own
    return names, left_out


def _is_in(name: str, parts: Collection[str]) -> bool:
    return name.partition(".")[0] in parts


def _check(
    shapes: Mapping[str, tuple[int, ...]],
    targets: Mapping[str, _Target],
    path: pathlib.Path,
) -> None:
    """Raises a ValueError unless names and shapes are those of the model."""
    missing = [name for name in targets if name not in shapes]
    if missing:
        raise ValueError(f"{path} lacks {_listed(missing)}.{_hint(missing)}")
    surplus = [name for name in shapes if name not in targets]
    if surplus:
        raise ValueError(
            f"{path} holds {_listed(surplus)}, for which the model has no place."
            f"{_hint(surplus)}"
        )
    for name, target in targets.items():
        if shapes[name] != target.shape:
            raise ValueError(
                f"{path}: {name} is {shapes[name]}, and {target.layer.name} of the "
                f"model takes {target.shape}.{_fix(name, shapes[name])}"
            )


def _hint(names: list[str]) -> str:
    """Returns what to do about names that one side lacks."""
    parts = [part for part in PARTS if any(_is_in(name, (part,)) for name in names)]
    if len(parts) and all(_is_in(name, parts) for name in names):
        return f" without={tuple(parts)} leaves it as it is in the model."
    layers = [re.match(r"encoder\.layer\.(\d+)\.", name) for name in names]
    if all(layers):
        return " num_layers of the model must be that of the file."
    return ""


def _fix(name: str, shape: tuple[int, ...]) -> str:
    """Returns the argument of the model that a shape asks for."""
    argument = {
        "embeddings.word_embeddings": f"vocab_size={shape[0]}",
        "embeddings.position_embeddings": f"max_length={shape[0]}",
        "embeddings.token_type_embeddings": f"num_token_types={shape[0]}",
    }.get(name.removesuffix(".weight"))
    if _is_in(name, PARTS):
        part = name.partition(".")[0]
        return f" without=({part!r},) leaves it as it is in the model."
    if len(shape) == 2 and argument is not None:
        return f" Make the model with {argument} and hidden_size={shape[1]}."
    return " The sizes of the model must be those of the file."


def _check_configuration(model: tf.keras.Model, path: pathlib.Path) -> None:
    """Compares what the file cannot say with the configuration beside it."""
    try:
        config = json.loads((path.parent / _CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        config = error
    if not isinstance(config, dict):
        warnings.warn(
            f"{path.parent / _CONFIG} cannot be read ({config!r:.100}), so heads, "
            "activation and layer_norm_epsilon are not compared.",
            stacklevel=3,
        )
        return
    scores, middle = (
        model.get_layer(f"layer_0_{part}") for part in ("scores", "intermediate")
    )
    heads = config.get("num_attention_heads", scores.num_heads)
    if heads != scores.num_heads:
        raise ValueError(
            f"{path.parent / _CONFIG} has {heads!r} attention heads, the model "
            f"{scores.num_heads}: make it with num_heads={heads!r}."
        )
    ours = tf.keras.activations.serialize(middle.activation)
    theirs = config.get("hidden_act", ours)
    if theirs != ours:
        warnings.warn(
            f"{path.parent / _CONFIG} has the activation {theirs!r}, the model "
            f"{ours!r}: as a start it serves, but outputs are not those of the file.",
            stacklevel=3,
        )
    epsilon = model.get_layer("embeddings_norm").epsilon
    if config.get("layer_norm_eps", epsilon) != epsilon:
        warnings.warn(
            f"{path.parent / _CONFIG} has the layer_norm_eps "
            f"{config['layer_norm_eps']!r}, the model {epsilon!r}: outputs are not "
            "those of the file.",
            stacklevel=3,
        )


def _read(file: Any, name: str, path: pathlib.Path, target: _Target) -> np.ndarray:
    """Returns a tensor of the file as float32 in the shape of its weight."""
    values = np.asarray(file.get_tensor(name), np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: {name} holds values that are not finite.")
    if target.is_linear:
        values = values.T
    return values.reshape(target.variable.shape)


def _assign(target: _Target, values: np.ndarray) -> None:
    """Sets a weight, and the scale of a binary one."""
    layer, variable = target.layer, target.variable
    scale = layer.learned_scale if _holds_signs(layer, variable) else None
    if scale is None:
        variable.assign(values)
        return
    wide = values.astype(np.float64)
    axes = None if len(scale.shape) == 0 else tuple(range(1, wide.ndim))
    magnitudes = np.abs(wide).mean(axis=axes, keepdims=axes is not None)
    variable.assign(np.where(wide < wide.mean(), -1.0, 1.0))
    scale.assign(magnitudes)


def _holds_signs(layer: tf.keras.layers.Layer, variable: tf.Variable) -> bool:
    if not isinstance(layer, (ElasticLinear, BinaryEmbedding)) or not layer.has_scale:
        return False
    kernel = layer.kernel if isinstance(layer, ElasticLinear) else layer.embeddings
    return variable is kernel


def _listed(names: list[str]) -> str:
    """Returns the first names, and how many more there are."""
    more = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")
