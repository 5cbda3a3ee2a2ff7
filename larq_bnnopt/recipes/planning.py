"""Dry runs: the resolved recipe, sizes, and an estimate of the training time."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
import warnings

from larq_bnnopt import datasets
from larq_bnnopt.recipes.recipe import Recipe
from larq_bnnopt.recipes.training import trainer_of
from larq_bnnopt.recipes.words import value_in_words

# The first steps trace and compile, and fill the pipeline.
_FIRST_STEPS = 3
_STEPS = 10


@dataclasses.dataclass(frozen=True)
class Plan:
    """A resolved recipe with the sizes and the time of its training.

    Attributes:
        recipe: The resolved recipe.
        images: Number of training images.
        test_images: Number of test images.
        parameters: Number of the model's parameters.
        binary_parameters: Number of binary parameters.
        ops: OPs of one image by the papers' rule, binary operations / 64 + the others.
        steps_per_epoch: Batches of an epoch.
        seconds_per_step: Median time of a few measured batches, with their data.
        image_shape: Shape of an input, of images `(height, width, channels)`.
        stored_size: Median height and width of stored images, `None` if they are not
            resized.
        notes: Choices that were made for the user and may not be wanted.
        kind: What the inputs are, such as `"images"`.
    """

    recipe: Recipe
    images: int
    test_images: int
    parameters: int
    binary_parameters: int
    ops: float
    steps_per_epoch: int
    seconds_per_step: float
    image_shape: tuple[int, ...]
    stored_size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    kind: str = datasets.IMAGES

    @property
    def steps(self) -> int:
        """Batches of the whole training."""
        return sum(self.recipe.stage_epochs()) * self.steps_per_epoch

    def rows(self) -> list[tuple[str, str]]:
        """Returns recipe and figures as pairs of a label and a text."""
        hours, rest = divmod(self.steps * self.seconds_per_step, 3600)
        return [
            *settings_of(self.recipe, "image_size"),
            (self.kind, self._inputs()),
            (f"training {self.kind}", f"{self.images:,}"),
            (f"test {self.kind}", f"{self.test_images:,}"),
            (
                "parameters",
                f"{self.parameters:,}, of which {self.binary_parameters:,} binary",
            ),
            (
                f"OPs of an {'image' if self.kind == datasets.IMAGES else 'input'}",
                f"{self.ops:.3g}",
            ),
            (
                "batches",
                f"{self.steps:,}, {self.steps_per_epoch:,} an epoch",
            ),
            ("a batch", f"{1000 * self.seconds_per_step:.0f} ms on this machine"),
            ("all batches", f"{hours:.0f} h {rest / 60:.0f} min, tests not counted"),
            *(("note", note) for note in self.notes),
        ]

    def _inputs(self) -> str:
        """Returns the size of the inputs, and whether it is the default."""
        if self.kind == datasets.TEXTS:
            return f"{self.image_shape[0]} tokens"
        if self.kind != datasets.IMAGES:
            return f"{' x '.join(map(str, self.image_shape))}, as they are"
        height, width, channels = self.image_shape
        text = f"{width} x {height} x {channels}"
        if self.stored_size is None:
            return f"{text}, as they are"
        default = self.recipe.takes_default_size
        return (
            f"{text}{', the default' if default else ''}; stored as about "
            f"{self.stored_size[1]} x {self.stored_size[0]}"
        )


def settings_of(recipe: Recipe, *others: str) -> list[tuple[str, str]]:
    """Returns the fields of a recipe that are set, as pairs of a name and a text.

    Args:
        recipe: The recipe.
        *others: Fields to leave out.
    """
    return [
        (name, value_in_words(value))
        for name, value in recipe.as_dict().items()
        if value not in (None, "", {}) and name not in others
    ]


def plan(recipe: Recipe) -> Plan:
    """Builds the model of a recipe, and measures a few training steps.

    Args:
        recipe: The recipe; its last stage is measured. Nothing is written or
            downloaded.

    Returns:
        The plan.

    Raises:
        ValueError: If the recipe names no model or data set.
        NotDownloadedError: If the data set is missing; it names its size.

    Example:
        >>> from larq_bnnopt.recipes import OneStep
        >>> found = plan(OneStep(epochs=2, batch_size=60))
        >>> found.steps, found.binary_parameters, found.recipe.alpha is None
        (200, 294912, False)
    """
    import zoo_extensions as zx

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = recipe.load_data(download=False)
    # Such as how many texts are cut.
    said = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    model = recipe.build(0, data)
    last = len(recipe.stage_epochs()) - 1
    for stage in range(1, last + 1):
        model = recipe.build(stage, data, model)
    recipe.prepare(model, last)
    trainer = trainer_of(recipe, model, recipe.load_teacher(), data)
    counts = zx.count_ops(model)
    times = []
    batches = iter(data.train_from(0))
    # Endless, so that no epoch is too short.
    for _ in range(_FIRST_STEPS + _STEPS):
        start = time.perf_counter()
        with data.faults_named():
            batch = next(batches)
        trainer.train_on_batch(*batch)
        times.append(time.perf_counter() - start)
    return Plan(
        recipe=recipe.resolved(data.steps_per_epoch),
        images=data.train_size,
        test_images=data.test_size,
        parameters=counts.parameters,
        binary_parameters=sum(
            math.prod(layer.kernel_shape or ())
            for layer in counts.layers
            if layer.kernel_bits == 1
        ),
        ops=counts.ops,
        steps_per_epoch=data.steps_per_epoch,
        seconds_per_step=statistics.median(times[_FIRST_STEPS:]),
        image_shape=data.input_shape,
        stored_size=data.stored_size,
        notes=(*recipe.notes(data), *said),
        kind=data.kind,
    )
