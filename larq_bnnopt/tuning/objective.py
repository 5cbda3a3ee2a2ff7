"""One trial of a search: a recipe trained in memory, its accuracy reported by epoch.

The images of the test are halved at random, the same way in each trial. The search sees
the accuracy on one half; the other half tells how accurate the chosen recipe is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from larq_bnnopt.tuning import scores

if TYPE_CHECKING:
    import tensorflow as tf

    from larq_bnnopt.datasets import Dataset
    from larq_bnnopt.recipes import Recipe

# Takes an epoch, from 0, and the accuracy after it; may raise to end the training.
Report = Callable[[int, float], None]
Adapt = Callable[["tf.keras.Model", "Dataset", "Recipe"], None]
_HALVES = 17


def fit_recipe(
    kind: str,
    fields: Mapping[str, Any],
    report: Report = lambda epoch, value: None,
    adapt: Adapt = lambda model, data, recipe: None,
) -> tuple[float, float, str]:
    """Trains a recipe, and returns its accuracy on both halves of the test.

    Of a regression it is R2, the coefficient of determination; of data that have
    metrics, such as texts, the first of them.

    Args:
        kind: The kind of the recipe.
        fields: Its fields.
        report: Is called after each epoch of the last stage. Defaults to nothing.
        adapt: Takes the compiled model of each stage, its data and recipe; changes the
            model before it is trained, such as its optimizer. Defaults to nothing.

    Returns:
        The accuracy on the half that the search sees and on the other, and the name
        of the score, such as `"accuracy"` or `"R2"`.

    Raises:
        TrainingDivergedError: If the loss becomes NaN.
        MemoryError: If the memory does not hold the training.
        ValueError: If the recipe is not valid.
    """
    import tensorflow as tf

    from larq_bnnopt.recipes.memory import is_out_of_memory

    try:
        return _trained(kind, fields, report, adapt)
    except tf.errors.OpError as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(
            f"The memory does not hold a batch of {fields['batch_size']}."
        ) from error


def _trained(
    kind: str, fields: Mapping[str, Any], report: Report, adapt: Adapt
) -> tuple[float, float, str]:
    """Trains a recipe; returns what `fit_recipe` does."""
    import tensorflow as tf

    from larq_bnnopt import recipes
    from larq_bnnopt.recipes.in_memory import fit_stage

    # Kernels and graphs of the trials before would pile up.
    tf.keras.backend.clear_session()
    recipe = recipes.RECIPES[kind].of(fields)
    data, teacher = recipe.load_data(), recipe.load_teacher()
    seen, unseen = halves(data.test, data.batch_size)
    score = main_score(data)
    model, passed, stages = recipe.build(0, data), 0, recipe.stage_epochs()
    for stage, epochs in enumerate(stages):
        if stage:
            model = recipe.build(stage, data, model)
        recipe.prepare(model, stage)
        adapt(model, data, recipe)
        is_last = stage == len(stages) - 1
        # A stage before the last says nothing of the end.
        reporters = [_reporter(report, passed, score.lower())] if is_last else []
        fit_stage(
            recipe, model, teacher, data, stage, validation=seen, callbacks=reporters
        )
        passed += epochs
    return _score(model, seen, score), _score(model, unseen, score), score


def main_score(data: Dataset) -> str:
    """Returns the name of what a search maximizes: the first metric of the data.

    Data without metrics have the accuracy, or of a regression R2.

    Args:
        data: The data set.
    """
    from larq_bnnopt import datasets

    if data.metrics:
        return data.metrics[0]
    return scores.ACCURACY if data.task == datasets.CLASSIFICATION else scores.R2


def _score(model: tf.keras.Model, examples: tf.data.Dataset, score: str) -> float:
    found = model.evaluate(examples, verbose=0, return_dict=True)
    return float(found[score.lower()])


def halves(
    test: tf.data.Dataset, batch_size: int
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Returns two halves of the test, split by a coin for each image that is fixed.

    Every second image would leave out classes that alternate.

    Args:
        test: Batches of images and labels, always in the same order.
        batch_size: Images in a batch of the halves.

    Example:
        >>> import tensorflow as tf
        >>> numbers = tf.data.Dataset.range(100).map(lambda n: (n, n)).batch(10)
        >>> one, other = halves(numbers, 7)
        >>> sizes = [sum(len(x) for x, _ in half) for half in (one, other)]
        >>> sum(sizes), min(sizes) > 30
        (100, True)
    """
    import tensorflow as tf

    def half(wanted: int) -> tf.data.Dataset:
        def is_wanted(index: tf.Tensor, example: Any) -> tf.Tensor:
            seed = tf.stack([tf.constant(_HALVES, tf.int64), index])
            coin = tf.random.stateless_uniform([], seed, 0, 2, tf.int32)
            return tf.equal(coin, wanted)

        images = test.unbatch().enumerate().filter(is_wanted)
        return images.map(lambda index, example: example).batch(batch_size).cache()

    return half(0), half(1)


def _reporter(report: Report, first: int, name: str) -> tf.keras.callbacks.Callback:
    """Returns a callback that reports the accuracy after each epoch."""
    import tensorflow as tf

    class Reporter(tf.keras.callbacks.Callback):
        """Reports."""

        def on_epoch_end(
            self, epoch: int, logs: Mapping[str, Any] | None = None
        ) -> None:
            """Reports an epoch."""
            report(epoch - first, float((logs or {})[f"val_{name}"]))

    return Reporter()
