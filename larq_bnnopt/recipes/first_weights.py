"""First weights of a BERT from a trained one of another precision.

BiT starts a binary BERT from the weights of its teacher, and so does each training of
its multi-distillation.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from larq_bnnopt.recipes.new_classifier import CLASSIFIER

# What `zx.BinaryBert` and `FineTune` call the same layer.
_OTHER_NAME = {"classifier": CLASSIFIER, CLASSIFIER: "classifier"}


def copy_first_weights(teacher: tf.keras.Model, student: tf.keras.Model) -> None:
    r"""Copies the weights of a BERT into one of another precision.

    Layers are matched by name. Where the student's binary weights are signs with a
    learned scale, and the teacher's W are real or latent ones,

    \[ \theta = \text{sign}(W - \text{mean}(W)), \quad c = \text{mean}(|W|) \]

    with a scale for each row of the word embeddings, so that both compute the same.
    The other way round the student gets c times the signs. What only the student has,
    such as the scales of binary activations, stays as it was.

    Args:
        teacher: A BERT of `zoo_extensions`.
        student: One of the same layers; its weights are replaced.

    Raises:
        ValueError: If the teacher lacks a layer, or one has another shape.

    Example:
        >>> import zoo_extensions as zx
        >>> sizes = {"input_shape": (8,), "vocab_size": 20}
        >>> teacher = zx.BinaryBertTiny(**sizes, precision="float")
        >>> student = zx.BinaryBertTiny(**sizes, latent_weights=False)
        >>> copy_first_weights(teacher, student)
        >>> kernel = teacher.get_layer("pooler").kernel
        >>> scale = student.get_layer("pooler").kernel_scale
        >>> bool(abs(scale - tf.reduce_mean(tf.abs(kernel))) < 1e-6)
        True
    """
    from zoo_extensions.dropout import SeededDropout
    from zoo_extensions.elastic_quantizers import ElasticSign, ElasticUnit

    known = {layer.name: layer for layer in teacher.layers}
    for layer in student.layers:
        # What counts the steps of dropout is no weight of the function.
        if not layer.weights or isinstance(layer, SeededDropout):
            continue
        source = known.get(layer.name) or known.get(_OTHER_NAME.get(layer.name, ""))
        if source is None:
            # A teacher with real activations has no scales of binary ones.
            if isinstance(layer, (ElasticSign, ElasticUnit)):
                continue
            raise ValueError(
                f"The teacher {teacher.name} has no layer {layer.name}, whose weights "
                "are to be the first ones. Give a teacher of the same layers, or "
                "leave first_weights out."
            )
        _copy(source, layer)


def _copy(source: Any, target: Any) -> None:
    """Copies the weights of a layer."""
    weights = {_key(w): tf.convert_to_tensor(w) for w in source.weights}
    for kernel, scale, axes in (
        ("kernel", "kernel_scale", None),
        ("embeddings", "row_scale", [1]),
    ):
        from_signs, to_signs = (hasattr(one, scale) for one in (source, target))
        if from_signs == to_signs:
            continue
        values = tf.convert_to_tensor(getattr(source, kernel))
        if to_signs:
            weights[scale] = tf.reduce_mean(
                tf.abs(values), axis=axes, keepdims=axes is not None
            )
            centered = values - tf.reduce_mean(values)
            values = tf.where(centered >= 0, tf.ones_like(values), -1.0)
        else:
            values *= getattr(source, scale)
        weights[kernel] = values
    for variable in target.weights:
        value = weights.get(_key(variable))
        if value is None:
            continue
        if value.shape != variable.shape:
            raise ValueError(
                f"The first weights of {target.name} are to be the teacher's, which "
                f"have the shape {value.shape}, and not {variable.shape}. Give a "
                "teacher of the same sizes, or leave first_weights out."
            )
        variable.assign(value)


def _key(variable: tf.Variable) -> str:
    """Returns the name of a variable within its layer."""
    # In a loaded model it has no other part.
    return variable.name.rpartition("/")[2].partition(":")[0]
