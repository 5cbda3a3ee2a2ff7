"""`Study`: a claim of a paper as data, with the runs and comparisons that test it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from larq_bnnopt import recipe_fields
from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import Comparison
from larq_bnnopt.studies.measures import Measure
from larq_bnnopt.studies.pictures import Panel
from larq_bnnopt.studies.statistics import FEWEST_SEEDS
from larq_bnnopt.texts import require_known

if TYPE_CHECKING:
    import tensorflow as tf

    from larq_bnnopt.datasets import Dataset
    from larq_bnnopt.recipes import Recipe
    from larq_bnnopt.studies.results import RunResult

# Logs of an epoch that every study keeps where a training has them.
KEPT = (
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "flip_ratio",
    "c2i_ratio",
    "dead_ratio",
    "never_flipped_ratio",
)
QUICK_DATA = "fashion_mnist_mini"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A claim of a paper, and what is run and compared to test it.

    Attributes:
        name: Its name, that of its file.
        title: A heading.
        paper: Number of the paper.
        place: Where the paper makes the claim.
        claim: The claim, a sentence.
        paper_setup: What the paper trained, for the paragraph.
        arms: The settings that are compared.
        fields: Fields of the recipe that all arms share.
        comparisons: What must be true of the numbers if the claim holds.
        panels: The parts of the picture.
        minutes: Time of all runs on two cores, about.
        seeds: Number of seeds.
        planned: Number of seeds that the verdict was planned for, if `seeds` was
            changed since, by `with_seeds`. `None`: `seeds`.
        measures: What the table of the result shows of each arm.
        keep: Further logs of an epoch to keep; `*` stands for any letters.
        per_weight: Whether `FlipMonitor` counts the flips of each weight.
        each_step: Whether to keep the flips of each step, as the series `step_flips`.
        probes: Arguments of `Probes`, for single weights in the files of `FlipMonitor`;
            `None` for none.
        of_flips: Takes the path of the `csv_path` of `FlipMonitor`, beside which its
            other files lie; returns further numbers, and lists of numbers, by name.
        adapt: Takes the compiled model of a stage, its data, recipe and setting;
            changes the model before it is trained, such as its optimizer.
        callbacks: Takes the model and its data; returns further Keras callbacks, whose
            logs can be kept.
        after: Takes the trained model and its data; returns further numbers, and lists
            of numbers, by name.
        train: Runs a setting with a seed in another way than `train_arm`, and takes
            what that takes. `None` for `train_arm`.
        require: Raises an ImportError if a package is missing that only this study
            needs, without TensorFlow. `None` if there is no such package.
        note: A sentence on what limits the result, for the paragraph.
        quick_data: What a quick study trains on, `None` for its own data.
        advice: How to get a folder of data that no command downloads, a sentence
            without its end.
    """

    name: str
    title: str
    paper: str
    place: str
    claim: str
    paper_setup: str
    arms: Sequence[Arm]
    comparisons: Sequence[Comparison]
    panels: Sequence[Panel]
    measures: Sequence[Measure]
    minutes: int
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seeds: int = FEWEST_SEEDS
    planned: int | None = None
    keep: Sequence[str] = ()
    per_weight: bool = False
    each_step: bool = False
    probes: Mapping[str, Any] | None = None
    of_flips: Callable[[pathlib.Path], Mapping[str, Any]] | None = None
    adapt: Callable[[tf.keras.Model, Dataset, Recipe, Arm], None] | None = None
    callbacks: (
        Callable[[tf.keras.Model, Dataset], list[tf.keras.callbacks.Callback]] | None
    ) = None
    after: Callable[[tf.keras.Model, Dataset], Mapping[str, Any]] | None = None
    train: Callable[[Study, Arm, int, bool], RunResult] | None = None
    require: Callable[[], None] | None = None
    note: str = ""
    quick_data: str | None = QUICK_DATA
    advice: str = ""

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"Two arms of {self.name} have one name.")
        for comparison in self.comparisons:
            for name in comparison.arms:
                require_known("arm", name, names)

    def recipe_fields(self, arm: Arm, seed: int) -> dict[str, Any]:
        """Returns the fields of the recipe of a run, checked without TensorFlow.

        Args:
            arm: The setting.
            seed: The seed.

        Raises:
            ValueError: If a value is wrong.
        """
        fields = {**self.fields, **arm.fields, "seed": seed}
        require_known("recipe", arm.kind, recipe_fields.KINDS)
        return dataclasses.asdict(recipe_fields.KINDS[arm.kind](**fields))

    def run_fields(self, arm: Arm, seed: int) -> dict[str, Any]:
        """Returns all that decides a run: the fields of its recipe, and `Arm.more`."""
        return {**self.recipe_fields(arm, seed), **arm.more}

    @property
    def planned_seeds(self) -> int:
        """Number of seeds with which the verdict is read."""
        return self.seeds if self.planned is None else self.planned

    def is_whole(self, results: Sequence[RunResult]) -> bool:
        """Returns whether all planned runs are there, and none is quick."""
        keys = {run.key for run in results}
        return not any(run.quick for run in results) and all(
            (arm.name, seed) in keys
            for arm in self.arms
            for seed in range(self.planned_seeds)
        )

    def with_seeds(self, seeds: int) -> Study:
        """Returns the study with another number of seeds than was planned."""
        return dataclasses.replace(self, seeds=seeds, planned=self.planned_seeds)

    def with_data(self, dataset: str | None, data_dir: str | None) -> Study:
        """Returns the study on other data, the same where both are `None`."""
        given = {"dataset": dataset, "data_dir": data_dir}
        more = {name: value for name, value in given.items() if value is not None}
        return self._with_fields(more)

    def made_quick(self) -> Study:
        """Returns a study of few short runs, which shows nothing but that it runs."""
        data = {} if self.quick_data is None else {"dataset": self.quick_data}
        quick = self._with_fields({**data, "epochs": 1})
        return dataclasses.replace(quick, seeds=2 if len(self.arms) < 4 else 1)

    def _with_fields(self, more: Mapping[str, Any]) -> Study:
        arms = [
            dataclasses.replace(
                arm, fields={**arm.fields, **_present(more, arm.fields)}
            )
            for arm in self.arms
        ]
        fields = {**self.fields, **more}
        return dataclasses.replace(self, fields=fields, arms=arms)


def _present(more: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in more.items() if name in fields}
