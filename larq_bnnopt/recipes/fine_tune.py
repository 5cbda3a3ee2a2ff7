"""Fine-tuning: a trained model learns the classes of another data set."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.datasets import ImageShape
from larq_bnnopt.optimizers import is_binary_variable
from larq_bnnopt.recipe_fields import LATENT_OPTIMIZERS, FineTuneFields, documented
from larq_bnnopt.recipes.binary_optimizers import FITTING
from larq_bnnopt.recipes.fitting import image_shape_of
from larq_bnnopt.recipes.fitting_texts import text_length_of
from larq_bnnopt.recipes.models import load_model
from larq_bnnopt.recipes.new_classifier import CLASSIFIER, with_new_classifier
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

    @property
    def trained_before(self) -> str | None:
        """The file of the trained model, whose run keeps its tokenizer."""
        return self.start

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
            is_class = data.task == datasets.CLASSIFICATION
            model = with_new_classifier(model, data.num_classes, is_class)
            if not self.is_latent and next(latent_kernels(model), None) is not None:
                model = zx.to_latent_free(model)
            self._require_weights(model)
        else:
            model = previous
        for layer in model.layers:
            layer.trainable = last or layer.name.startswith(CLASSIFIER)
        optimizer = self.build_optimizer(total, steps, None if last else "adam")
        return self.compile(model, optimizer, data)

    def _require_weights(self, model: tf.keras.Model) -> None:
        """Raises a ValueError unless the optimizer trains weights as the model has."""
        # Also those of layers that were saved frozen.
        are_signs = any(map(is_binary_variable, model.weights))
        if self.is_latent and are_signs:
            raise ValueError(
                f"{self.start} has weights in {{-1, +1}}, which optimizer "
                f"{self.optimizer!r} would make real. Give one that flips them: "
                f"{', '.join(n for n in FITTING if n not in LATENT_OPTIMIZERS)}."
            )
        if not self.is_latent and not are_signs:
            raise ValueError(
                f"{self.start} has no binary weights for optimizer {self.optimizer!r}. "
                f"Give one of real weights: {', '.join(LATENT_OPTIMIZERS)}."
            )

    def annealing(
        self, model: tf.keras.Model, stage: int
    ) -> list[tf.keras.callbacks.Callback]:
        """Returns an empty list: the kernels of a trained model are signs."""
        return []

    @property
    def starts_trained(self) -> bool:
        """True: the first weights are those of a trained model."""
        return True
