"""Knowledge distillation: a student learns the outputs of a teacher."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


class Distiller(tf.keras.Model):
    r"""Trains a student on the outputs of a teacher (knowledge distillation).

    \[ L = (1 - h) T^2 \sum_k q_k \log \frac{q_k}{p_k} + h L_{\text{labels}}, \quad
    p = \text{softmax}(z / T), \; q = \text{softmax}(z_{\text{teacher}} / T) \]

    averaged over the batch. At T = 1 and h = 0 it has the same gradient as the code of
    AdamBNN and ReActNet, whose loss is the cross entropy with the teacher's
    probabilities. If a model ends with a softmax, log p stands for z: they differ by a
    constant, which cancels. Other models return the logits z.

    It is a Keras model around the student: compile it, fit it, and save the student.
    Its layers are the student's, so that callbacks see these alone.

    Args:
        student: A classifier.
        teacher: A classifier of the same inputs and classes. It is not trained.
        temperature: T, above 0. Defaults to `1.0`.
        hard_labels: The weight h of the loss of the labels, in [0, 1]. Defaults to
            `0.0`.
        label_loss: Loss of the labels with the student's outputs. Defaults to `None`,
            the loss that the student was compiled with.

    Raises:
        ValueError: If the two have other inputs or outputs, or an argument is out of
            its range.

    Example:
        >>> import zoo_extensions as zx
        >>> teacher, student = zx.TinyResidualBNN(), zx.TinyResidualBNN()
        >>> student.compile("adam", "sparse_categorical_crossentropy")
        >>> distiller = Distiller(student, teacher, temperature=4.0)
        >>> distiller.compile("adam", metrics=["accuracy"])
        >>> images, labels = tf.random.normal((8, 28, 28, 1)), tf.range(8)
        >>> history = distiller.fit(images, labels, verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'loss', 'teacher_loss']

    References:
        [Distilling the Knowledge](https://arxiv.org/abs/1503.02531), section 2.
    """

    def __init__(
        self,
        student: tf.keras.Model,
        teacher: tf.keras.Model,
        *,
        temperature: float = 1.0,
        hard_labels: float = 0.0,
        label_loss: tf.keras.losses.Loss | str | None = None,
    ):
        super().__init__(name=student.name)
        if not temperature > 0:
            raise ValueError(f"temperature must be positive. Received: {temperature}")
        if not 0 <= hard_labels <= 1:
            raise ValueError(f"hard_labels must be in [0, 1]. Received: {hard_labels}")
        for side in ("input_shape", "output_shape"):
            ours, theirs = (getattr(model, side) for model in (student, teacher))
            if ours != theirs:
                raise ValueError(
                    f"The {side} of the student is {ours}, and of the teacher "
                    f"{theirs}. They must be equal."
                )
        self.student = student
        # In a closure, so that Keras neither trains nor saves the teacher.
        self._teacher_outputs = lambda images: teacher(images, training=False)
        self._is_probability = (
            gives_probabilities(student),
            gives_probabilities(teacher),
        )
        self.temperature = float(temperature)
        self.hard_labels = float(hard_labels)
        # A model that was never compiled has none.
        loss = getattr(student, "loss", None) if label_loss is None else label_loss
        if hard_labels and loss is None:
            raise ValueError(
                "hard_labels needs a loss: compile the student, or give label_loss."
            )
        self._label_loss = None if loss is None else mean_loss(loss)
        self._loss_mean = tf.keras.metrics.Mean(name="loss")
        self._teacher_mean = tf.keras.metrics.Mean(name="teacher_loss")

    @property
    def layers(self) -> list[tf.keras.layers.Layer]:
        """The layers of the student."""
        return self.student.layers

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the student's outputs."""
        return self.student(inputs, training=training)

    def compute_loss(
        self,
        x: tf.Tensor | None = None,
        y: tf.Tensor | None = None,
        y_pred: tf.Tensor | None = None,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the loss of a batch."""
        apart = self.divergence(y_pred, self._teacher_outputs(x))
        self._teacher_mean.update_state(apart, sample_weight)
        loss = (1 - self.hard_labels) * mean_of(apart, sample_weight)
        return self.with_labels(loss, y, y_pred, sample_weight)

    def divergence(self, answers: tf.Tensor, taught: tf.Tensor) -> tf.Tensor:
        """Returns how far the answers are from the teacher's, for each input.

        Args:
            answers: The outputs of the student, (inputs, classes).
            taught: Those of the teacher, which get no gradient.
        """
        p = log_softmax(answers, self.temperature, self._is_probability[0])
        q = log_softmax(taught, self.temperature, self._is_probability[1])
        q = tf.stop_gradient(q)
        return self.temperature**2 * tf.reduce_sum(tf.exp(q) * (q - p), axis=-1)

    def with_labels(
        self,
        loss: tf.Tensor,
        y: tf.Tensor | None,
        y_pred: tf.Tensor | None,
        sample_weight: tf.Tensor | None,
    ) -> tf.Tensor:
        """Returns the loss of a batch with that of the labels and of the layers."""
        if self.hard_labels and self._label_loss is not None:
            labels = self._label_loss(y, y_pred, sample_weight)
            loss += self.hard_labels * labels
        if self.losses:
            loss += tf.add_n(self.losses)
        self._loss_mean.update_state(loss, tf.shape(y_pred)[0])
        return loss


def log_softmax(
    outputs: tf.Tensor, temperature: float, is_probability: bool
) -> tf.Tensor:
    """Returns log softmax(z / T), float32.

    Args:
        outputs: Logits z, or probabilities softmax(z), (batch, classes).
        temperature: T.
        is_probability: Whether they are probabilities.

    Example:
        >>> z = tf.constant([[2.0, 0.0]])
        >>> one, other = log_softmax(z, 2.0, False), log_softmax(
        ...     tf.nn.softmax(z), 2.0, True)
        >>> float(tf.reduce_max(tf.abs(one - other))) < 1e-6
        True
    """
    outputs = tf.cast(outputs, tf.float32)
    if is_probability:
        outputs = tf.math.log(tf.maximum(outputs, 1e-30))
    return tf.nn.log_softmax(outputs / temperature)


def gives_probabilities(model: tf.keras.Model) -> bool:
    """Whether a model ends with a softmax.

    Args:
        model: A functional or sequential model; its last layer may be one again.

    Example:
        >>> import zoo_extensions as zx
        >>> gives_probabilities(zx.TinyResidualBNN(classifier_activation=None))
        False
    """
    last = model
    while getattr(last, "layers", None):
        outputs = getattr(last, "outputs", None)
        history = getattr(outputs[0], "_keras_history", None) if outputs else None
        last = history.layer if history is not None else last.layers[-1]
    if isinstance(last, tf.keras.layers.Softmax):
        return True
    return getattr(last, "activation", None) is tf.keras.activations.softmax


def mean_loss(
    loss: tf.keras.losses.Loss | Callable[..., tf.Tensor] | str,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]:
    """Returns the mean of a loss over the batch, as Keras takes it in `compile`.

    Args:
        loss: A loss of Keras, or its name, which stands for a function that returns
            the loss of each input.

    Returns:
        A function of labels, outputs and the weights of the inputs or `None`.

    Example:
        >>> y, outputs = tf.constant([[1.0], [2.0]]), tf.constant([[0.0], [0.0]])
        >>> float(mean_loss("mean_squared_error")(y, outputs, None))
        2.5
    """
    found = tf.keras.losses.get(loss)
    if isinstance(found, tf.keras.losses.Loss):
        return found

    def mean(y: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
        # As the classes of Keras do: (batch,) and (batch, 1) would broadcast.
        if outputs.shape[-1] == 1 and y.shape.rank == outputs.shape.rank - 1:
            y = tf.expand_dims(y, -1)
        return mean_of(found(y, outputs), weights)

    return mean


def mean_of(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns the mean over the batch, with weights as in Keras."""
    if weights is not None:
        values *= tf.cast(weights, values.dtype)
    return tf.reduce_mean(values)
