"""`Recipe`, the base of all recipes: data, model, optimizers and their decay."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from larq_bnnopt import datasets, schedules
from larq_bnnopt.callbacks import binary_kernels
from larq_bnnopt.datasets import ImageShape
from larq_bnnopt.model_options import has_argument
from larq_bnnopt.optimizers import CaseOptimizer, RAdam
from larq_bnnopt.recipe_fields import OF_TEXTS, RecipeFields, documented
from larq_bnnopt.recipes.binary_optimizers import DECAYING, FITTING, binary_optimizer
from larq_bnnopt.recipes.first_weights import copy_first_weights
from larq_bnnopt.recipes.fitting import image_shape_of, inputs_problem
from larq_bnnopt.recipes.fitting_texts import (
    require_tokenizer,
    text_length_of,
    tokenizer_beside,
)
from larq_bnnopt.recipes.loss_scaling import computes_in_float16
from larq_bnnopt.recipes.losses import Crossentropy
from larq_bnnopt.recipes.models import load_model
from larq_bnnopt.recipes.normalization import normalized_input
from larq_bnnopt.recipes.r2 import R2
from larq_bnnopt.recipes.recalibration import require_normalization
from larq_bnnopt.recipes.runs import model_file
from larq_bnnopt.recipes.temperature import annealing
from larq_bnnopt.recipes.text_metrics import METRICS

_REAL: dict[str, Callable[..., Any]] = {
    "adam": tf.keras.optimizers.Adam,
    "radam": RAdam,
    "sgd": tf.keras.optimizers.SGD,
}
_DECAYS: dict[str, Callable[..., Any]] = {
    "cosine": schedules.cosine,
    "linear": schedules.linear,
    "step": schedules.step,
    "exponential": schedules.exponential,
    "constant": schedules.constant,
}
_NORMALIZATIONS = (
    tf.keras.layers.BatchNormalization,
    tf.keras.layers.LayerNormalization,
)
# At least, in multiples of eta, and as many votes.
_INERTIA = 0.1
_FIRST_VOTES = 2
_MOMENTUM = 0.9
_FINAL_FACTOR = 0.01


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(RecipeFields):
    """A training: data, model, optimizers and their decay, as all recipes have them.

    The real-valued parameters are trained by Adam, RAdam or SGD. The learning rate, and
    what decays in the binary optimizer (`binary_optimizer` says what), fall over each
    stage of the training by their schedules, the former after a warm-up.
    """

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Recipe:
        """Returns the recipe with some fields given and defaults for the others.

        Args:
            fields: The given values by field.

        Raises:
            ValueError: If the recipe has no such field, or the values are wrong.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = [name for name in fields if name not in known]
        if unknown:
            raise ValueError(f"recipe {cls.kind!r} has no {', '.join(unknown)}.")
        return cls(**fields)

    def build(
        self,
        stage: int,
        data: datasets.Dataset,
        previous: tf.keras.Model | None = None,
    ) -> tf.keras.Model:
        """Builds the model of a stage with its first weights, compiled.

        Args:
            stage: The stage, from 0.
            data: The data set.
            previous: The trained model of the stage before. Defaults to `None`, where
                this is the first one.

        Returns:
            The model.
        """
        raise NotImplementedError

    def build_model(self, data: datasets.Dataset) -> tf.keras.Model:
        """Builds the model of the first stage, compiled."""
        return self.build(0, data)

    def prepare(self, model: tf.keras.Model, stage: int) -> None:
        """Adds weight decay, which model files do not store, before a training."""
        if self.weight_decay:
            for variable in self.decayed(model, stage):
                add_decay(model, variable, self.weight_decay)

    def annealing(
        self, model: tf.keras.Model, stage: int
    ) -> list[tf.keras.callbacks.Callback]:
        """Returns the temperature callback of a stage, or an empty list.

        Args:
            model: The model of the stage.
            stage: The stage, from 0.

        Raises:
            ValueError: If the stage has too few epochs to anneal kernels.
        """
        epochs = self.stage_epochs()
        return annealing(model, epochs[stage], sum(epochs[:stage]))

    def decayed(self, model: tf.keras.Model, stage: int) -> list[tf.Variable]:
        """Returns the variables with weight decay in a stage."""
        kept: set[int] = set()
        for layer in model.submodules:
            if isinstance(layer, _NORMALIZATIONS):
                kept |= {id(variable) for variable in layer.trainable_variables}
        if not self.is_latent:
            kept |= {id(kernel) for kernel in binary_kernels(model).values()}
        return [v for v in model.trainable_variables if id(v) not in kept]

    def averages(self, steps: int) -> dict[str, Any]:
        """Returns the constants of the binary optimizer in a stage of so many steps."""
        averages = {
            name: value if getattr(self, name) is None else getattr(self, name)
            for name, value in FITTING[self.optimizer](steps).items()
        }
        if self.initial_inertia is None and self.starts_trained:
            # Otherwise the first step would replace all signs, in short runs, too.
            if "initial_inertia" in averages:
                inertia = max(_INERTIA, _FIRST_VOTES * (1 - averages["beta"]))
                averages["initial_inertia"] = inertia
        return averages

    @property
    def starts_trained(self) -> bool:
        """Whether the first weights are those of a trained model."""
        return self.first_weights == "teacher"

    def steps(self, batches: int) -> int:
        """Returns the number of optimizer steps of so many batches, at least one."""
        return max(1, batches // self.accumulate_steps)

    def resolved(self, steps_per_epoch: int) -> Recipe:
        """Returns the recipe with values for the fields of its optimizers.

        Args:
            steps_per_epoch: Batches of an epoch.
        """
        momentum = None
        if "sgd" in self.plain_optimizers:
            momentum = _MOMENTUM if self.momentum is None else self.momentum
        averages = self.averages(self.steps(self.stage_epochs()[-1] * steps_per_epoch))
        return dataclasses.replace(self, momentum=momentum, **averages)

    def as_dict(self) -> dict[str, Any]:
        """Returns the recipe with its kind as plain data for JSON."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    def load_data(
        self,
        model: tf.keras.Model | None = None,
        download: bool = True,
        texts: Mapping[str, Any] | None = None,
    ) -> datasets.Dataset:
        """Loads the data set.

        Args:
            model: The trained model, whose input shape the inputs get. Defaults to
                `None`, not trained yet.
            download: Whether to download the data if they are missing. Defaults to
                `True`.
            texts: Arguments of `datasets.load` for texts, such as the tokenizer that a
                run keeps. Defaults to `None`, as the recipe says.
        """
        if model is None:
            shape = self.image_shape()
        else:
            shape = image_shape_of(model, self.dataset)
        data = datasets.load(
            self.dataset,
            batch_size=self.batch_size,
            seed=self.seed,
            augment=self.augment,
            data_dir=self.data_dir,
            image_shape=shape,
            download=download,
            color_jitter=self.color_jitter,
            pca_noise=self.pca_noise,
            hsv_jitter=self.hsv_jitter,
            **self._of_texts(model, texts or {}),
        )
        self._require_kind(data)
        self._require_task(data)
        return data

    def _of_texts(
        self, model: tf.keras.Model | None, texts: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Returns how texts become inputs, as `datasets.load` takes it.

        Raises:
            ValueError: If a trained model takes part whose tokenizer is not known.
        """
        if datasets.kind_of(self.dataset) != datasets.TEXTS:
            return {}
        length = text_length_of(model) if model is not None else self.tokens()
        options = {"vocab_size": self.vocab_size, "text_length": length, **texts}
        if options.get("tokenizer") is None:
            options["tokenizer"] = self.tokenizer_file()
        if options["tokenizer"] is None and self.trained_before:
            require_tokenizer(self.dataset, self.trained_before)
        return {name: value for name, value in options.items() if value is not None}

    def tokens(self) -> int | None:
        """Returns the tokens of a text, `None` for the default."""
        return self.text_length

    def tokenizer_file(self) -> str | None:
        """Returns the file of the tokenizer of texts, `None` for that of the data.

        A trained model that takes part has one, which the others read texts by, too.
        """
        if self.tokenizer or not self.trained_before:
            return self.tokenizer
        return tokenizer_beside(self.trained_before)

    @property
    def trained_before(self) -> str | None:
        """The file of the trained model that says what tokens are, if there is one."""
        return self.teacher

    def _require_kind(self, data: datasets.Dataset) -> None:
        """Raises a ValueError for fields that other inputs have."""
        if data.kind == datasets.TEXTS:
            if self.normalize != "symmetric":
                raise ValueError(
                    f"{self.dataset} holds texts, which have no normalize; leave it "
                    "out."
                )
            return
        given = [name for name in OF_TEXTS if getattr(self, name) is not None]
        if given:
            raise ValueError(
                f"{self.dataset} holds {data.kind}, and no texts, which have "
                f"{', '.join(given)}; leave it out."
            )

    def _require_task(self, data: datasets.Dataset) -> None:
        """Raises a ValueError for fields that have no meaning for the data."""
        if data.task == datasets.CLASSIFICATION:
            return
        problem = None
        if self.kind == "fine_tune" and data.kind != datasets.TEXTS:
            problem = "recipe 'fine_tune' learns other classes; take one_step"
        elif self.teacher is not None and data.kind != datasets.TEXTS:
            problem = "a teacher gives classes; leave it out"
        elif self.temperature != 1:
            problem = "temperature divides logits of classes; leave it out"
        elif self.label_smoothing:
            problem = "label_smoothing needs classes; leave it out"
        elif self.recalibrate:
            problem = "recalibrate compares accuracies of classes; leave it out"
        if problem:
            raise ValueError(
                f"{self.dataset} holds numbers to be predicted (regression): {problem}."
            )

    def image_shape(self) -> ImageShape | None:
        """Returns the shape that images of any size get, `None` for the default."""
        size = self.image_size
        return None if size is None else (size, size, 3)

    @property
    def takes_default_size(self) -> bool:
        """Whether images of any size get the default size."""
        return self.image_size is None

    def notes(self, data: datasets.Dataset) -> list[str]:
        """Returns notes on choices that were made for the user and may not be wanted.

        Args:
            data: The data set, as loaded for the training.
        """
        notes: list[str] = []
        if self.starts_trained and self.optimizer in ("gradient_filter", "iir"):
            notes.append(
                f"The averages of {self.optimizer} start at 0, so that its first step "
                "replaces all signs of the trained weights. optimizer='diode' keeps "
                "them at first."
            )
        if data.kind != datasets.IMAGES:
            return notes
        stored, (height, width, channels) = data.stored_size, data.input_shape
        if self.takes_default_size and stored and max(stored) < min(height, width):
            size = max(stored)
            notes.append(
                f"The images of {data.name} are about {stored[1]} x {stored[0]} and "
                f"are enlarged to {width} x {height}, the default. "
                f"image_size={size} (--image-size {size}) trains many times faster."
            )
        if channels == 1 and data.is_stored_in_colour:
            notes.append(
                f"The images of {data.name} have colors, and the model takes grey "
                f"ones ({width} x {height} x 1): the colors are dropped. Start from "
                "a model that takes 3 channels to use them."
            )
        return notes

    def files(self) -> dict[str, str]:
        """Returns the paths of the files that a resumed training reads, by field."""
        # The run keeps the tokenizer.
        return {} if self.teacher is None else {"teacher": model_file(self.teacher)}

    def load_teacher(self) -> tf.keras.Model | None:
        """Loads the teacher, if there is one."""
        return None if self.teacher is None else load_model(self.teacher)

    def distill_weights(self) -> dict[str, float]:
        """Returns the weight of each part of the loss of a text's teacher."""
        given = {
            "answers": self.distill_logits,
            "hidden": self.distill_hidden,
            "attention": self.distill_attention,
        }
        return {name: one for name, one in given.items() if one is not None}

    def create_model(
        self,
        data: datasets.Dataset,
        latent_weights: bool,
        precision: str | None = None,
    ) -> tf.keras.Model:
        """Creates the network with its first weights.

        Args:
            data: The data set.
            latent_weights: Whether binary weights are the signs of latent ones.
            precision: What has 1 bit. Defaults to `None`, as the recipe says.

        Raises:
            ValueError: If the network does not take the inputs of the data set.
        """
        import zoo_extensions as zx
        from zoo_extensions.binary_factory import InputShapeError

        tf.keras.utils.set_random_seed(self.seed)
        options = dict(self.model_options)
        precision = precision or self.precision
        if precision != "binary":
            options["precision"] = precision
        if data.kind == datasets.TEXTS:
            options["vocab_size"] = data.settings["vocab_size"]
        if data.task == datasets.REGRESSION:
            options["classifier_activation"] = None
        if self.normalize != "symmetric":
            options["input_tensor"] = self._normalized_input()
        takes_texts = has_argument(self.model, "vocab_size")
        if takes_texts is not None and takes_texts != (data.kind == datasets.TEXTS):
            raise ValueError(inputs_problem(self.model, self.model_options, data, None))
        try:
            with _computing_in(self.compute_dtype):
                model = zx.create_model(
                    self.model,
                    input_shape=data.input_shape,
                    num_classes=data.num_classes,
                    latent_weights=latent_weights,
                    **options,
                )
        except InputShapeError as error:
            raise ValueError(
                inputs_problem(self.model, self.model_options, data, error.least)
            ) from error
        if self.first_weights == "teacher" and self.teacher is not None:
            copy_first_weights(load_model(self.teacher), model)
        if self.latent_scale is not None:
            for kernel in latent_kernels(model):
                kernel.assign(kernel * self.latent_scale)
        if self.is_latent:
            # Refuses too few epochs before anything is trained.
            self.annealing(model, len(self.stage_epochs()) - 1)
        return model

    def _normalized_input(self) -> tf.Tensor:
        """Returns an input that has mean 0 and standard deviation 1 by channel."""
        plain = dataclasses.replace(
            self,
            augment=False,
            color_jitter=None,
            pca_noise=0.0,
            hsv_jitter=0.0,
            seed=0,
        )
        return normalized_input(plain.load_data())

    def compile(
        self,
        model: tf.keras.Model,
        optimizer: tf.keras.optimizers.Optimizer,
        data: datasets.Dataset,
    ) -> tf.keras.Model:
        """Compiles a network of the zoo.

        Args:
            model: The network.
            optimizer: Its optimizer.
            data: The data set, whose task says the loss.

        Raises:
            ValueError: If the recipe has a field that the network cannot have.
        """
        if self.recalibrate:
            require_normalization(model)
        if computes_in_float16(model):
            if self.accumulate_steps > 1:
                raise ValueError(
                    f"accumulate_steps {self.accumulate_steps} cannot be counted where "
                    f"batches are skipped, as for {model.name}, which computes in "
                    "float16. Leave it out."
                )
            # Keras would wrap it, too, but not write the wrapper into a file.
            optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
        # Keras's own loss if possible: it can be loaded without this package.
        loss: Any = "sparse_categorical_crossentropy"
        if data.task == datasets.REGRESSION:
            loss = "mean_squared_error"
        elif self.label_smoothing:
            loss = Crossentropy(self.label_smoothing)
        model.compile(optimizer, loss=loss, metrics=metrics_of(data))
        return model

    def build_optimizer(
        self, batches: int, batches_per_epoch: int = 0, optimizer: str | None = None
    ) -> tf.keras.optimizers.Optimizer:
        """Builds the optimizer of a stage.

        Args:
            batches: Batches of the stage.
            batches_per_epoch: Batches of an epoch, for the warm-up. Defaults to `0`.
            optimizer: What trains the binary weights. Defaults to `None`, the recipe's.

        Returns:
            The optimizer.
        """
        fewest = min(self.stage_epochs()) * batches_per_epoch
        if 0 < fewest < self.accumulate_steps:
            raise ValueError(
                f"accumulate_steps {self.accumulate_steps} is more than the {fewest} "
                "batches of a stage, so that it would take no step. Give fewer, or "
                "more epochs."
            )
        steps, together = self.steps(batches), self.accumulate_steps
        warmup = math.ceil(self.warmup_epochs * batches_per_epoch / together)
        rate = self._falling(self.schedule, self.learning_rate, steps, warmup=warmup)
        optimizer = optimizer or self.optimizer
        if optimizer in _REAL:
            latent = self._plain_optimizer(optimizer, rate)
            if together == 1:
                return latent
            return CaseOptimizer(default_optimizer=latent, accumulate_steps=together)
        averages = self.averages(steps)
        decaying = DECAYING.get(optimizer)
        if decaying is not None:
            shape = self.binary_schedule or self.schedule
            averages[decaying] = self._falling(shape, averages[decaying], steps)
        if self.embedding_updates == "seen_rows":
            averages["embedding_updates"] = "seen_rows"
        binary = binary_optimizer(optimizer, averages)
        return CaseOptimizer(
            (binary.is_binary_variable, binary),
            default_optimizer=self._plain_optimizer(self.real_optimizer, rate),
            accumulate_steps=together,
        )

    def _falling(
        self, shape: str, start: float, steps: int, warmup: int = 0
    ) -> schedules.Schedule:
        """Returns a schedule by the name of its shape."""
        more = {}
        if shape == "exponential":
            factor = _FINAL_FACTOR if self.final_factor is None else self.final_factor
            more["end"] = factor * start
        return _DECAYS[shape](start, steps, warmup=warmup, **more)

    def _plain_optimizer(
        self, name: str, rate: schedules.Schedule
    ) -> tf.keras.optimizers.Optimizer:
        """Returns an optimizer of real-valued parameters by its name."""
        if name != "sgd":
            return _REAL[name](rate)
        momentum = _MOMENTUM if self.momentum is None else self.momentum
        return _REAL[name](rate, momentum=momentum)


def metrics_of(data: datasets.Dataset) -> list[Any]:
    """Returns the metrics of a data set: those of its task, and its own.

    Args:
        data: The data set.

    Example:
        >>> metrics_of(datasets.load("fashion_mnist_mini"))
        ['accuracy']
    """
    known: list[Any] = ["accuracy"]
    if data.task == datasets.REGRESSION:
        known = ["mean_absolute_error", R2()]
    return [*known, *(METRICS[name]() for name in data.metrics if name in METRICS)]


@contextlib.contextmanager
def _computing_in(policy: str) -> Iterator[None]:
    """Makes layers compute in other numbers while a model is made."""
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def latent_kernels(model: tf.keras.Model) -> Iterator[tf.Variable]:
    """Yields the latent kernels of a model, which a quantizer makes binary.

    Args:
        model: The model.

    Example:
        >>> import zoo_extensions as zx
        >>> len(list(latent_kernels(zx.TinyResidualBNN())))
        6
    """
    import larq as lq

    for layer in model.submodules:
        for kind in ("kernel", "embeddings", "depthwise", "pointwise"):
            quantizer = getattr(layer, f"{kind}_quantizer", None)
            if quantizer is not None and not isinstance(quantizer, lq.quantizers.NoOp):
                is_whole = kind in ("kernel", "embeddings")
                yield getattr(layer, kind if is_whole else f"{kind}_kernel")


def add_decay(model: tf.keras.Model, variable: tf.Variable, rate: float) -> None:
    """Adds a share of a variable to its gradient, by a loss of the model.

    Args:
        model: The model.
        variable: The variable.
        rate: The share.
    """
    model.add_loss(functools.partial(_decay, variable, rate))


def _decay(variable: tf.Variable, rate: float) -> tf.Tensor:
    # Its gradient is rate * variable.
    return rate / 2 * tf.reduce_sum(tf.square(variable))
