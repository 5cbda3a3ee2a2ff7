"""Fine-tuning: a trained model learns the classes of another data set."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.datasets import ImageShape
from larq_bnnopt.recipe_fields import FineTuneFields, documented
from larq_bnnopt.recipes.fitting import image_shape_of
from larq_bnnopt.recipes.fitting_texts import text_length_of, tokenizer_beside
from larq_bnnopt.recipes.models import load_model
from larq_bnnopt.recipes.recipe import Recipe, latent_kernels
from larq_bnnopt.recipes.runs import model_file
from larq_bnnopt.recipes.temperature import require_binarized


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTune(FineTuneFields, Recipe):
    """Fine-tuning: a new classifier is trained alone first, then the whole model.

    The last dense layer of a trained model is replaced by one for the classes of the
    data set. In the first stage it is trained alone and all other layers are frozen,
    with the batch-norm statistics of the earlier data, so that the outputs of a random
    classifier do not spoil what was learned.

    Latent kernels become {-1, +1} under Diode and the gradient filter
    (`zoo_extensions.to_latent_free`). Diode's first votes then start from the signs of
    the kernels (`initial_inertia`).

    Example:
        >>> FineTune(start="model.keras", epochs=5).stage_epochs()
        (3, 5)
    """

    def files(self) -> dict[str, str]:
        """Returns the paths of the files that the training reads, by field."""
        return {**super().files(), "start": model_file(self.start)}

    def image_shape(self) -> ImageShape | None:
        """Returns the shape of the images that the trained model takes."""
        return image_shape_of(load_model(self.start), self.dataset)

    def tokens(self) -> int | None:
        """Returns the tokens of a text that the trained model takes."""
        return text_length_of(load_model(self.start))

    def tokenizer_file(self) -> str | None:
        """Returns the file of the tokenizer: that of the trained model's run."""
        return self.tokenizer or tokenizer_beside(self.start)

    @property
    def takes_default_size(self) -> bool:
        """False: images get the size that the trained model takes."""
        return False

    def build(
        self,
        stage: int,
        data: datasets.Dataset,
        previous: tf.keras.Model | None = None,
    ) -> tf.keras.Model:
        """Builds the model with a new classifier, or unfreezes the trained one."""
        import zoo_extensions as zx

        steps = data.steps_per_epoch
        total = self.stage_epochs()[stage] * steps
        last = stage == len(self.stage_epochs()) - 1
        tf.keras.utils.set_random_seed(self.seed)
        if previous is None:
            model = load_model(self.start)
            require_binarized(model, self.start)
            model = with_new_classifier(model, data.num_classes)
            if not self.is_latent and next(latent_kernels(model), None) is not None:
                model = zx.to_latent_free(model)
        else:
            model = previous
        for layer in model.layers:
            layer.trainable = last or layer.name.startswith(_CLASSIFIER)
        optimizer = self.build_optimizer(total, steps, None if last else "adam")
        return self.compile(model, optimizer, data)

    def annealing(
        self, model: tf.keras.Model, stage: int
    ) -> list[tf.keras.callbacks.Callback]:
        """Returns an empty list: the kernels of a trained model are signs."""
        return []

    @property
    def starts_trained(self) -> bool:
        """True: the first weights are those of a trained model."""
        return True


_CLASSIFIER = "new_classes"


def with_new_classifier(model: tf.keras.Model, num_classes: int) -> tf.keras.Model:
    """Returns a model with a new last dense layer, for another number of classes.

    Args:
        model: A functional or sequential classifier.
        num_classes: Number of classes.

    Returns:
        The model, which shares all other layers with the given one. It ends with a
        softmax.

    Raises:
        ValueError: If the model does not end with a dense layer.

    Example:
        >>> import zoo_extensions as zx
        >>> with_new_classifier(zx.TinyResidualBNN(), 3).output_shape
        (None, 3)
    """
    layers = list(model.layers)
    while layers and isinstance(
        layers[-1], (tf.keras.layers.Activation, tf.keras.layers.Softmax)
    ):
        layers.pop()
    if not layers or not isinstance(layers[-1], tf.keras.layers.Dense):
        raise ValueError(
            f"{model.name} does not end with a dense layer and a softmax, but with "
            f"{type(layers[-1]).__name__ if layers else 'nothing'}, so its classifier "
            "cannot be replaced. Give a model that does."
        )
    x = tf.keras.layers.Dense(num_classes, name=_CLASSIFIER)(layers[-1].input)
    # Softmax in 16 bits loses small probabilities.
    softmax = tf.keras.layers.Activation(
        "softmax", dtype="float32", name=f"{_CLASSIFIER}_softmax"
    )
    return tf.keras.Model(model.inputs, softmax(x), name=model.name)
