"""Training in one step: weights and activations are binary from the start."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.callbacks import FlipMonitor, binary_kernels, plot_flips
from larq_bnnopt.callbacks.summaries import drop_epochs
from larq_bnnopt.optimizers import CaseOptimizer, Diode, GradientFilter, memory
from larq_bnnopt.recipes.models import load_model
from larq_bnnopt.recipes.runs import Run
from larq_bnnopt.schedules import cosine

# The constants that fit a run of a number of steps.
_FITTING: dict[str, Callable[[int], dict[str, float]]] = {
    "diode": memory.diode,
    "gradient_filter": memory.gradient_filter,
    "adam": lambda steps: {},
}
OPTIMIZERS = tuple(_FITTING)


@dataclasses.dataclass(frozen=True)
class OneStep:
    """What one training does.

    The real-valued parameters are trained by Adam. Its learning rate and what decays in
    the binary optimizer follow a cosine to zero over the whole run.

    Attributes:
        model: Name of a model of `zoo_extensions`.
        dataset: Name for `larq_bnnopt.datasets.load`.
        optimizer: What trains the binary weights: `"diode"`, `"gradient_filter"`, or
            `"adam"` on latent weights.
        epochs: Number of epochs.
        batch_size: Images in a batch.
        learning_rate: First learning rate of Adam.
        alpha: Of Diode or the gradient filter; `None` for what fits the length of the
            run (`Diode.for_steps`, `GradientFilter.for_steps`).
        beta: Of Diode, likewise.
        gamma: Of the gradient filter, likewise.
        augment: Whether to augment the training images.
        seed: Seed of weights, order and augmentation.
        data_dir: Folder of tensorflow-datasets, `None` for its default.
    """

    model: str = "tiny_residual_bnn"
    dataset: str = "fashion_mnist_mini"
    optimizer: str = "diode"
    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 0.01
    alpha: float | None = None
    beta: float | None = None
    gamma: float | None = None
    augment: bool = True
    seed: int = 0
    data_dir: str | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            near = difflib.get_close_matches(self.optimizer, OPTIMIZERS) or OPTIMIZERS
            raise ValueError(
                f"No optimizer {self.optimizer!r}. Nearest: {', '.join(near)}."
            )
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1. Received: {self.epochs}")
        if self.learning_rate <= 0:
            raise ValueError(
                f"learning_rate must be positive. Received: {self.learning_rate}"
            )
        known = _FITTING[self.optimizer](1)
        for name in ("alpha", "beta", "gamma"):
            if getattr(self, name) is not None and name not in known:
                raise ValueError(f"optimizer {self.optimizer!r} has no {name}.")

    def averages(self, steps: int) -> dict[str, Any]:
        """Returns the constants of the binary optimizer in a run of `steps`."""
        return {
            name: value if getattr(self, name) is None else getattr(self, name)
            for name, value in _FITTING[self.optimizer](steps).items()
        }

    def resolved(self, steps: int) -> OneStep:
        """Returns the recipe with a number for everything that was left to it."""
        return dataclasses.replace(self, **self.averages(steps))

    def load_data(self) -> datasets.Dataset:
        """Loads the data set."""
        return datasets.load(
            self.dataset,
            batch_size=self.batch_size,
            seed=self.seed,
            augment=self.augment,
            data_dir=self.data_dir,
        )

    def build_model(self, data: datasets.Dataset) -> tf.keras.Model:
        """Builds the model with the weights that the seed gives, compiled."""
        import zoo_extensions as zx

        tf.keras.utils.set_random_seed(self.seed)
        model = zx.create_model(
            self.model,
            input_shape=data.input_shape,
            num_classes=data.num_classes,
            latent_weights=self.optimizer == "adam",
        )
        model.compile(
            self.build_optimizer(self.epochs * data.steps_per_epoch),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    def build_optimizer(self, steps: int) -> tf.keras.optimizers.Optimizer:
        """Builds the optimizer for a run of a number of steps."""
        adam = tf.keras.optimizers.Adam(cosine(self.learning_rate, steps))
        if self.optimizer == "adam":
            return adam
        averages = self.averages(steps)
        binary: Diode | GradientFilter
        if self.optimizer == "diode":
            binary = Diode(cosine(1.0, steps), **averages)
        else:
            alpha = cosine(averages.pop("alpha"), steps)
            binary = GradientFilter(alpha, **averages)
        return CaseOptimizer(
            (binary.is_binary_variable, binary), default_optimizer=adam
        )


def train(
    recipe: OneStep,
    folder: str | os.PathLike[str],
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
) -> tf.keras.Model:
    """Trains a model and leaves the files of the run in a new folder.

    After every epoch the folder holds `model.keras`, with the optimizer, beside
    `history.csv` and `flips.csv`; `flips.png` at the end.

    Args:
        recipe: What to train.
        folder: Folder to make.
        callbacks: Further Keras callbacks. Defaults to none.

    Returns:
        The trained model.

    Raises:
        FileExistsError: If the folder exists.
        ValueError: If the recipe names no model or data set; no folder is made then.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     folder = pathlib.Path(parent, "first")
        ...     model = train(OneStep(epochs=1, batch_size=600), folder)
        ...     sorted(path.name for path in folder.iterdir())
        ['config.json', 'flips.csv', 'flips.png', 'history.csv', 'model.keras']
    """
    Run.refuse_existing(folder)
    data = recipe.load_data()
    model = recipe.build_model(data)
    run = Run.create(folder)
    steps = recipe.epochs * data.steps_per_epoch
    run.write_config(dataclasses.asdict(recipe.resolved(steps)))
    return _fit(recipe, run, data, model, _start(model), 0, callbacks)


def resume(
    run: Run, callbacks: Sequence[tf.keras.callbacks.Callback] = ()
) -> tf.keras.Model:
    """Goes on with a run from its last complete epoch.

    Weights, averages of the optimizers, order and augmentation of the images are those
    of a run that was never interrupted. What was made from the half-trained model (its
    .tflite and reports) is removed.

    Args:
        run: An earlier run.
        callbacks: Further Keras callbacks. Defaults to none.

    Returns:
        The trained model; of a run that was complete, as it was.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its configuration or model is damaged.
    """
    recipe = recipe_of(run)
    data = recipe.load_data()
    model = recipe.build_model(data)
    start, epoch = _start(model), 0
    if run.model.exists():
        model = load_model(run.model)
        epoch = int(model.optimizer.iterations) // data.steps_per_epoch
    if epoch >= recipe.epochs:
        # The process may have ended between the last epoch and the picture.
        if run.flips.exists() and not run.picture.exists():
            plot_flips(run.flips, run.picture)
        return model
    run.drop_results()
    drop_epochs(run.history, epoch)
    if epoch == 0:
        run.flips.unlink(missing_ok=True)
    return _fit(recipe, run, data, model, start, epoch, callbacks)


def recipe_of(run: Run) -> OneStep:
    """Returns the recipe of an earlier run."""
    content = run.read_recipe()
    try:
        return OneStep(**content)
    except TypeError as error:
        raise ValueError(f"{run.config} is of another version: {error}") from error


def _start(model: tf.keras.Model) -> dict[str, Any]:
    return {name: kernel.numpy() for name, kernel in binary_kernels(model).items()}


def _fit(
    recipe: OneStep,
    run: Run,
    data: datasets.Dataset,
    model: tf.keras.Model,
    start: dict[str, Any],
    epoch: int,
    callbacks: Sequence[tf.keras.callbacks.Callback],
) -> tf.keras.Model:
    model.fit(
        data.train_from(epoch),
        steps_per_epoch=data.steps_per_epoch,
        initial_epoch=epoch,
        epochs=recipe.epochs,
        validation_data=data.test,
        verbose=0,
        callbacks=[
            FlipMonitor(run.flips, run.picture, start),
            tf.keras.callbacks.CSVLogger(os.fspath(run.history), append=True),
            *callbacks,
            # Last: what it leaves counts as a complete epoch.
            _Checkpoint(run),
        ],
    )
    return model


class _Checkpoint(tf.keras.callbacks.Callback):
    """Keeps the model of the last complete epoch, whatever happens meanwhile."""

    def __init__(self, run: Run):
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Replaces the model of the run in one step."""
        temporary = self._run.folder / ".model.part.keras"
        self.model.save(temporary)
        os.replace(temporary, self._run.model)
