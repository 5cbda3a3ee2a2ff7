"""Knowledge distillation of BERT: answers, hidden states and attention scores.

Teacher and student are one network of `zoo_extensions` in two precisions, whose layers
have the same names, so each layer of the student has one to learn from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from larq_bnnopt.recipes.distillation import Distiller, mean_of

_HIDDEN = re.compile(r"embeddings_norm|layer_\d+_norm")
_SCORES = re.compile(r"layer_\d+_scores")
_ANSWERS = "answers"


class BertDistiller(Distiller):
    r"""Trains a binary BERT on what a BERT answers and computes on the way.

    \[ L = w_a (1 - h) T^2 \sum_k q_k \log \frac{q_k}{p_k} + h L_{\text{labels}}
    + w_h \sum_i \text{mse}(H_i, H_i^{\text{teacher}})
    + w_s \sum_i \text{mse}(S_i, S_i^{\text{teacher}}) \]

    H are the normalized embeddings and the hidden states of each layer, S the attention
    scores of each layer before the softmax, with means over all numbers of a batch;
    of the scores, over those whose key is a token and no padding. Of a regression the
    first term is w_a (1 - h) times the squared difference of the answers.

    The weights of BiT's code are 1, 1 and 0 (its `quant_task_distill_glue.py` sets
    `distill_logit` and `distill_rep`, and not `distill_attn`). Three things differ
    there: the mean of the first term is over classes, too, so that it weighs
    1 / classes; masked scores count as zeros in the mean; and the teacher has dropout.

    Args:
        student: A BERT of `zoo_extensions`.
        teacher: One with as many layers and channels. It is not trained.
        answers: The weight of the teacher's answers, w_a. Defaults to `1.0`.
        hidden: The weight of its hidden states, w_h. Defaults to `1.0`.
        attention: The weight of its attention scores, w_s. Defaults to `0.0`.
        regression: Whether the outputs are numbers to predict. Defaults to `False`.
        **kwargs: Arguments of `Distiller`.

    Raises:
        ValueError: If the two have other inputs, outputs or layers, or an argument is
            out of its range.

    Example:
        >>> import zoo_extensions as zx
        >>> sizes = {"input_shape": (8,), "vocab_size": 20, "num_classes": 3}
        >>> teacher = zx.BinaryBertTiny(**sizes, precision="float")
        >>> distiller = BertDistiller(zx.BinaryBertTiny(**sizes), teacher)
        >>> distiller.compile("adam", metrics=["accuracy"])
        >>> ones = tf.ones((2, 8), tf.int32)
        >>> names = ("input_ids", "attention_mask", "token_type_ids")
        >>> inputs = dict.fromkeys(names, ones)
        >>> history = distiller.fit(inputs, tf.constant([0, 2]), verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'hidden_loss', 'loss', 'teacher_loss']

    References:
        [BiT](https://arxiv.org/abs/2205.13016), section 3.3, and its code.
    """

    def __init__(
        self,
        student: tf.keras.Model,
        teacher: tf.keras.Model,
        *,
        answers: float = 1.0,
        hidden: float = 1.0,
        attention: float = 0.0,
        regression: bool = False,
        **kwargs: Any,
    ):
        super().__init__(student, teacher, **kwargs)
        weights = {"answers": answers, "hidden": hidden, "attention": attention}
        for name, weight in weights.items():
            if not weight >= 0:
                raise ValueError(f"{name} must be at least 0. Received: {weight}")
        if not self.hard_labels and not any(weights.values()):
            raise ValueError("Nothing is learned: all weights of the teacher are 0.")
        self._weights = {name: float(one) for name, one in weights.items()}
        self._is_regression = regression
        names = {
            "hidden": _HIDDEN if hidden else None,
            "attention": _SCORES if attention else None,
        }
        ours, theirs = (_with_parts(model, names) for model in (student, teacher))
        _require_equal_parts(ours, theirs)
        # In closures, so that Keras neither trains nor saves their layers twice.
        self._student_parts = lambda inputs, training: ours(inputs, training=training)
        self._teacher_parts = lambda inputs: theirs(inputs, training=False)
        self._means = {
            name: tf.keras.metrics.Mean(name=f"{name}_loss")
            for name, pattern in names.items()
            if pattern is not None
        }

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Returns the student's outputs, and those of its layers by name."""
        return self._student_parts(inputs, training)

    def compute_loss(
        self,
        x: Any = None,
        y: tf.Tensor | None = None,
        y_pred: Any = None,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the loss of a batch."""
        taught = self._teacher_parts(x)
        answers = y_pred[_ANSWERS]
        apart = self.divergence(answers, taught[_ANSWERS])
        self._teacher_mean.update_state(apart, sample_weight)
        share = self._weights["answers"] * (1 - self.hard_labels)
        loss = share * mean_of(apart, sample_weight)
        for name, mean in self._means.items():
            mask = None
            if name == "attention":
                mask = tf.cast(x["attention_mask"], bool)[:, None, None, :]
            pairs = [
                (y_pred[layer], taught[layer])
                for layer in y_pred
                if layer.startswith(f"{name}/")
            ]
            error = tf.add_n([_squared_error(*pair, mask) for pair in pairs])
            mean.update_state(error, tf.shape(answers)[0])
            loss += self._weights[name] * error
        return self.with_labels(loss, y, answers, sample_weight)

    def divergence(self, answers: tf.Tensor, taught: tf.Tensor) -> tf.Tensor:
        """Returns how far the answers are from the teacher's, for each input."""
        if not self._is_regression:
            return super().divergence(answers, taught)
        taught = tf.stop_gradient(tf.cast(taught, tf.float32))
        squares = tf.math.squared_difference(tf.cast(answers, tf.float32), taught)
        return tf.reduce_mean(squares, axis=-1)

    def compute_metrics(
        self, x: Any, y: tf.Tensor, y_pred: Any, sample_weight: tf.Tensor | None
    ) -> dict[str, Any]:
        """Returns the metrics of the student's outputs."""
        return super().compute_metrics(x, y, y_pred[_ANSWERS], sample_weight)


def _with_parts(
    model: tf.keras.Model, names: Mapping[str, re.Pattern[str] | None]
) -> tf.keras.Model:
    """Returns a model of the same layers with further outputs.

    Args:
        model: The model.
        names: Parts by name, with the names of their layers; `None` for none.
    """
    outputs = {_ANSWERS: model.output}
    for part, pattern in names.items():
        if pattern is None:
            continue
        found = {
            f"{part}/{layer.name}": layer.output
            for layer in model.layers
            if pattern.fullmatch(layer.name)
        }
        if not found:
            raise ValueError(
                f"{model.name} is no BERT: it has no {part} to compare. Give another "
                f"model, or distill_{part}=0."
            )
        outputs |= found
    return tf.keras.Model(model.inputs, outputs, name=model.name)


def _require_equal_parts(student: tf.keras.Model, teacher: tf.keras.Model) -> None:
    """Raises a ValueError unless two models have the same parts."""
    shapes = [
        {name: tuple(part.shape) for name, part in model.output.items()}
        for model in (student, teacher)
    ]
    for name in dict.fromkeys(name for one in shapes for name in one):
        ours, theirs = (one.get(name, "no such layer") for one in shapes)
        if ours != theirs:
            part, _, layer = name.partition("/")
            raise ValueError(
                f"The {part} of {layer} cannot be compared: the student has {ours}, "
                f"the teacher {theirs}. Give a teacher of as many layers and "
                f"channels, or distill_{part}=0."
            )


def _squared_error(
    ours: tf.Tensor, taught: tf.Tensor, mask: tf.Tensor | None
) -> tf.Tensor:
    """Returns the mean squared error, of what a mask allows."""
    taught = tf.stop_gradient(tf.cast(taught, tf.float32))
    squares = tf.math.squared_difference(tf.cast(ours, tf.float32), taught)
    if mask is None:
        return tf.reduce_mean(squares)
    # Not by a product: a masked difference may be infinite.
    allowed = tf.broadcast_to(mask, tf.shape(squares))
    total = tf.reduce_sum(tf.where(allowed, squares, tf.zeros_like(squares)))
    return tf.math.divide_no_nan(total, tf.reduce_sum(tf.cast(allowed, squares.dtype)))
