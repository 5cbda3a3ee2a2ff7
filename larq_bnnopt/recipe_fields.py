"""The fields of recipes: type, default, valid values and help, each written once.

The dataclasses of `larq_bnnopt.recipes` inherit their fields, checks and documentation
from here, and `bnnopt train` makes its options of them. Nothing here needs TensorFlow,
so that the command shows its help and refuses wrong values at once.
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from larq_bnnopt import model_options
from larq_bnnopt.field_ranges import (
    ABOVE_0,
    AT_LEAST_0,
    BELOW_1,
    COUNT,
    COUNT_OR_0,
    FINITE,
    INSIDE_0_1,
    POSITIVE,
    SHARE,
    FieldRange,
)
from larq_bnnopt.field_types import settle
from larq_bnnopt.texts import require_known

# A batch of larger images fits into no memory that trains.
LARGEST_SIDE = 4096
LONGEST_TEXT = 4096
LARGEST_VOCABULARY = 1_000_000
_KEY = "setting"
_SCHEDULES = {
    name: name for name in ("cosine", "linear", "step", "exponential", "constant")
}
# What belongs to a network that is made, and not to one that was trained.
_OF_NEW_MODELS = (
    "model_options",
    "precision",
    "compute_dtype",
    "latent_scale",
    "normalize",
    "first_weights",
)
_OF_TEXT_TEACHERS = (
    "first_weights",
    "distill_logits",
    "distill_hidden",
    "distill_attention",
)
_OF_TEACHERS = ("temperature", "hard_labels", *_OF_TEXT_TEACHERS)
# What has a meaning for texts alone.
OF_TEXTS = (
    "text_length",
    "vocab_size",
    "tokenizer",
    "embedding_updates",
    *_OF_TEXT_TEACHERS,
)
_Fields = TypeVar("_Fields", bound=type)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is known of a field of a recipe beside its type and default.

    Attributes:
        help: What it is, for `bnnopt train --help` and the documentation; `{valid}`
            stands for the valid values.
        label: What reports call it; defaults to its name without underscores.
        range: The valid numbers.
        ranges: The valid numbers by the optimizer of the binary weights, for what only
            some of them have.
        choices: The valid texts, with what reports call them.
        unset: What `None` stands for.
        is_share: Whether reports show it in percent.
        option: The option of `bnnopt train`, if it is not called as the field.
        option_range: What the option takes, where that is less than the field.
        metavar: What the help calls the value of the option.
    """

    help: str
    label: str | None = None
    range: FieldRange | None = None
    ranges: Mapping[str, FieldRange] = dataclasses.field(default_factory=dict)
    choices: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unset: str | None = None
    is_share: bool = False
    option: str | None = None
    option_range: FieldRange | None = None
    metavar: str | None = None

    @property
    def text(self) -> str:
        """The help with the valid values."""
        return self.help.replace("{valid}", self._valid())

    def _valid(self) -> str:
        if self.ranges:
            ranges = (f"of {name} {valid}" for name, valid in self.ranges.items())
            return ", ".join(ranges)
        if self.choices:
            *others, last = self.choices
            return f"{', '.join(others)} or {last}"
        return str(self.range)


def setting(default: Any, help: str, **others: Any) -> Any:
    """Returns a dataclass field with a `Setting`.

    Args:
        default: The default of the field; of a dictionary a copy.
        help: As for `Setting`.
        **others: Further attributes of the `Setting`.
    """
    metadata = {_KEY: Setting(help, **others)}
    if isinstance(default, dict):
        # A dictionary has no hash, and recipes have one.
        return dataclasses.field(
            default_factory=default.copy, metadata=metadata, hash=False
        )
    return dataclasses.field(default=default, metadata=metadata)


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Returns the default of a field of a recipe."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def settings(recipe: type | None = None) -> dict[str, Setting]:
    """Returns the settings of a recipe by field, in order.

    A recipe may declare a field again with another default; its setting stays.

    Args:
        recipe: The dataclass. Defaults to `None`, all recipes.

    Example:
        >>> settings()["epochs"].help
        'number of epochs; of two_step: of each stage'
    """
    known: dict[str, Setting] = {}
    for one in KINDS.values() if recipe is None else [recipe]:
        for base in reversed(one.__mro__):
            for field in getattr(base, "__dataclass_fields__", {}).values():
                if _KEY in field.metadata:
                    known[field.name] = field.metadata[_KEY]
    return known


def documentation_of(recipe: type) -> str:
    """Returns the section of a docstring that explains the fields of a recipe."""
    lines, known = ["Attributes:"], settings(recipe)
    for field in dataclasses.fields(recipe):
        text, unset = known[field.name].text, known[field.name].unset
        default = f"`{default_of(field)!r}`"
        if field.default is None and unset:
            default += f", {unset}"
        lines += textwrap.wrap(
            f"{field.name}: {text[0].upper()}{text[1:]}. Defaults to {default}.",
            width=88,
            initial_indent="    ",
            subsequent_indent="        ",
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def documented(recipe: _Fields) -> _Fields:
    """Adds the fields of a recipe to its docstring (a class decorator)."""
    if recipe.__doc__:
        text = inspect.cleandoc(recipe.__doc__)
        recipe.__doc__ = f"{text}\n\n{documentation_of(recipe)}"
    return recipe


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeFields:
    """The fields that all recipes have."""

    kind: ClassVar[str]
    title: ClassVar[str]
    # Fields that count the epochs of a stage, in order, with what reports call them.
    stages: ClassVar[Mapping[str, str]] = {"epochs": "epochs"}

    model: str = setting(
        "tiny_residual_bnn",
        "name of a network of zoo_extensions",
        label="network",
    )
    dataset: str = setting(
        "fashion_mnist_mini",
        "fashion_mnist_mini (in the package), a folder with a folder of images or of "
        "sounds for each class, a folder of arrays or of texts, or any name of "
        "tensorflow-datasets",
        label="data",
    )
    model_options: Mapping[str, Any] = setting(
        {},
        "argument of the network's function, such as squeeze_excite=false; may be "
        "repeated",
        label="options of the network",
        option="model-option",
        metavar="NAME=VALUE",
    )
    precision: str = setting(
        "binary",
        "what has 1 bit in the network's binary layers: {valid}; weights that are "
        "real need an optimizer of latent ones",
        choices={
            "binary": "binary weights and activations",
            "binary_weights": "binary weights, real-valued activations",
            "binary_activations": "real-valued weights, binary activations",
            "float": "real-valued weights and activations",
        },
    )
    compute_dtype: str = setting(
        "float32",
        "numbers that layers compute with: {valid}, in which weights, averages of the "
        "optimizers and the loss stay float32; mixed_float16 scales the loss, and "
        "skips steps whose gradients overflow",
        label="computed in",
        choices={
            "float32": "float32",
            "mixed_bfloat16": "bfloat16 and float32",
            "mixed_float16": "float16 and float32",
        },
    )
    image_size: int | None = setting(
        None,
        "height and width that images of any size are resized to, {valid}",
        range=FieldRange(1, LARGEST_SIDE),
        unset="224",
    )
    text_length: int | None = setting(
        None,
        "tokens of a text, {valid}: longer ones are truncated, shorter ones padded",
        label="tokens of a text",
        range=FieldRange(4, LONGEST_TEXT),
        unset="128",
    )
    vocab_size: int | None = setting(
        None,
        "most tokens of a tokenizer that is trained on the texts, or rows of word "
        "embeddings beside a tokenizer, {valid}",
        label="size of the vocabulary",
        range=FieldRange(16, LARGEST_VOCABULARY),
        unset="8192, beside a tokenizer as many as it has",
    )
    tokenizer: str | None = setting(
        None,
        "tokenizer.json or vocab.txt of texts, such as that of a teacher",
        unset="the one in the folder of the data; without it one is trained",
        metavar="FILE",
    )
    embedding_updates: str | None = setting(
        None,
        "what becomes of rows of binary word embeddings whose words are not in a "
        "batch: {valid}; their averages decay as those of all weights, or they wait",
        label="rows of embeddings that a step updates",
        choices={"dense": "all", "seen_rows": "those of the words in the batch"},
        unset="dense",
    )
    optimizer: str = setting(
        "diode",
        "what trains the binary weights: {valid}; adam, radam and sgd train latent "
        "ones",
        label="optimizer of the binary weights",
        choices={
            "diode": "Diode",
            "gradient_filter": "gradient filter",
            "iir": "general gradient filter",
            "bop": "Bop",
            "bop2nd": "second-order Bop",
            "adam": "Adam, on latent weights",
            "radam": "RAdam, on latent weights",
            "sgd": "SGD with momentum, on latent weights",
        },
    )
    epochs: int = setting(
        12, "number of epochs; of two_step: of each stage", range=COUNT
    )
    batch_size: int = setting(64, "images in a batch", range=COUNT)
    accumulate_steps: int = setting(
        1,
        "batches whose mean gradient makes one optimizer step, for batches that do not "
        "fit into memory",
        label="batches that make an optimizer step",
        range=COUNT,
    )
    real_optimizer: str = setting(
        "adam",
        "what trains the real-valued weights, where the optimizer trains binary ones "
        "alone: {valid}",
        label="optimizer of the others",
        choices={"adam": "Adam", "radam": "RAdam", "sgd": "SGD with momentum"},
    )
    learning_rate: float = setting(
        0.01, "of adam, radam or sgd, after the warm-up", range=POSITIVE
    )
    momentum: float | None = setting(
        None, "of sgd, {valid}", range=BELOW_1, unset="0.9"
    )
    weight_decay: float = setting(
        0.0,
        "share of a real-valued weight that is added to its gradient (L2 "
        "regularization); of two_step: in stage 1",
        range=AT_LEAST_0,
    )
    schedule: str = setting(
        "cosine",
        "how the learning rate falls over a stage: {valid}; cosine and linear end at "
        "0, step falls to a tenth at half and at three quarters, exponential by the "
        "same factor in each step",
        label="decay of the learning rate",
        choices=_SCHEDULES,
    )
    binary_schedule: str | None = setting(
        None,
        "the curve by which the binary optimizer's own rate (eta of diode, alpha of "
        "gradient_filter, gamma of bop and bop2nd; iir has none) falls: {valid}",
        label="decay in the binary optimizer",
        choices=_SCHEDULES,
        unset="as the learning rate",
    )
    final_factor: float | None = setting(
        None,
        "with --schedule exponential: last value / first value, {valid}; 0.01 ends at "
        "a hundredth of the start",
        label="what an exponential decay leaves",
        range=INSIDE_0_1,
        unset="0.01",
    )
    warmup_epochs: float = setting(
        0,
        "epochs in which the learning rate rises first",
        label="epochs of warm-up",
        range=AT_LEAST_0,
    )
    label_smoothing: float = setting(
        0.0,
        "share of the label that is spread over all classes, {valid}",
        range=BELOW_1,
        is_share=True,
    )
    alpha: float | None = setting(
        None,
        "alpha of the binary optimizer: {valid}",
        range=SHARE,
        ranges={"diode": BELOW_1, "gradient_filter": ABOVE_0},
        unset="what fits the length of the run",
    )
    beta: float | None = setting(
        None,
        "beta of the binary optimizer: {valid}",
        range=BELOW_1,
        ranges={"diode": BELOW_1},
        unset="what fits the length of the run",
    )
    gamma: float | None = setting(
        None,
        "gamma of the binary optimizer: {valid}",
        range=ABOVE_0,
        ranges={"gradient_filter": ABOVE_0, "bop": ABOVE_0, "bop2nd": ABOVE_0},
        unset="what fits the length of the run; of bop 1e-4, of bop2nd 1e-7",
    )
    sigma: float | None = setting(
        None,
        "weight of the newest squared gradient: {valid}",
        range=ABOVE_0,
        ranges={"bop2nd": ABOVE_0},
        unset="1e-3",
    )
    threshold: float | None = setting(
        None,
        "what an averaged gradient must exceed to flip a weight: {valid}",
        range=AT_LEAST_0,
        ranges={"bop": AT_LEAST_0, "bop2nd": AT_LEAST_0},
        unset="1e-8; of bop2nd 1e-6",
    )
    eta: float | None = setting(
        None,
        "size of a vote at first: {valid}",
        range=POSITIVE,
        ranges={"diode": POSITIVE},
        unset="1",
    )
    initial_inertia: float | None = setting(
        None,
        "how long kernels keep their first signs against the votes, in multiples of "
        "eta: {valid}",
        range=AT_LEAST_0,
        ranges={"diode": AT_LEAST_0},
        unset="0, where the first weights are trained ones 0.1, or 2 (1 - beta) if "
        "that is more",
    )
    order: int | None = setting(
        None,
        "number of averages, 1 or 2: {valid}",
        range=FieldRange(1, 2),
        ranges={"gradient_filter": FieldRange(1, 2)},
        unset="2",
    )
    b: Sequence[float] | None = setting(
        None,
        "coefficients of the gradients of iir, as for scipy.signal.lfilter, such as "
        "1e-4",
        label="coefficients of the gradients",
        ranges={"iir": FINITE},
        unset="those of gradient_filter",
    )
    a: Sequence[float] | None = setting(
        None,
        "coefficients of the outputs of iir, such as 1,-1.89,0.8901",
        label="coefficients of the outputs",
        ranges={"iir": FINITE},
        unset="those of gradient_filter",
    )
    latent_scale: float | None = setting(
        None,
        "what latent weights (of adam, radam and sgd) are multiplied by before the "
        "training",
        label="scale of the first latent weights",
        range=POSITIVE,
        unset="1",
    )
    teacher: str | None = setting(
        None, ".keras file, or folder of a run, whose outputs the model learns"
    )
    temperature: float = setting(
        1.0,
        "beside a teacher: what the logits of both are divided by before they are "
        "compared",
        range=POSITIVE,
    )
    hard_labels: float = setting(
        0.0,
        "beside a teacher: weight of the loss of the true labels, {valid}",
        label="weight of the true labels beside the teacher",
        range=SHARE,
        is_share=True,
    )
    first_weights: str | None = setting(
        None,
        "of texts, beside a teacher: the weights that the training starts from: "
        "{valid}; binary ones take the signs of the teacher's",
        label="first weights",
        choices={"random": "drawn by the seed", "teacher": "those of the teacher"},
        unset="random",
    )
    distill_logits: float | None = setting(
        None,
        "of texts, beside a teacher: weight of the loss of its answers, {valid}",
        label="weight of the teacher's answers",
        range=AT_LEAST_0,
        unset="1",
    )
    distill_hidden: float | None = setting(
        None,
        "of texts, beside a teacher: weight of the mean squared error of each hidden "
        "state, {valid}",
        label="weight of the teacher's hidden states",
        range=AT_LEAST_0,
        unset="1",
    )
    distill_attention: float | None = setting(
        None,
        "of texts, beside a teacher: weight of the mean squared error of the attention "
        "scores of each layer, {valid}",
        label="weight of the teacher's attention scores",
        range=AT_LEAST_0,
        unset="0, as BiT trains",
    )
    recalibrate: int = setting(
        0,
        "number of training batches, if any, to re-estimate batch-norm statistics from "
        "after the training",
        label="batches to re-estimate batch-norm statistics from",
        range=COUNT_OR_0,
        option_range=COUNT,
        metavar="BATCHES",
    )
    augment: bool = setting(
        True,
        "whether to augment the training images",
        label="augmentation of the training images",
    )
    color_jitter: float | None = setting(
        None,
        "share by which brightness, contrast and saturation of training images may "
        "change, {valid}",
        range=SHARE,
        unset="that of augment: 0.4 for images of any size, 0.2 for fewer than 50,000 "
        "of them, 0 for others",
    )
    pca_noise: float = setting(
        0.0,
        "standard deviation of noise along the principal components of ImageNet's "
        "colors (AlexNet's lighting noise), such as 0.1",
        label="PCA noise of colors",
        range=AT_LEAST_0,
    )
    hsv_jitter: float = setting(
        0.0,
        "share of the circle by which hues of training images may turn, and by which "
        "their saturation and value may change, {valid}",
        label="HSV jitter",
        range=SHARE,
    )
    normalize: str = setting(
        "symmetric",
        "{valid}: pixels are in [-1, 1] and other numbers as they are; or the first "
        "layer of the model gives each channel mean 0 and standard deviation 1 over "
        "the training inputs",
        label="normalization of the inputs",
        choices={
            "symmetric": "pixels in [-1, 1]",
            "per_channel": "mean 0 and standard deviation 1 of each channel",
        },
    )
    seed: int = setting(
        0,
        "seed of weights, order and augmentation, {valid}",
        # What NumPy takes.
        range=FieldRange(0, 2**32 - 1),
    )
    data_dir: str | None = setting(
        None,
        "folder of tensorflow-datasets",
        label="folder of tensorflow-datasets",
        unset="its own default",
    )

    def __post_init__(self) -> None:
        settle(self)
        for name, known in settings(type(self)).items():
            value = getattr(self, name)
            if known.choices and value is not None:
                require_known(name, value, known.choices)
        self._require_ranges()
        self._require_model_options()
        self._require_optimizer_fields()
        self._require_effects()

    def _require_model_options(self) -> None:
        """Raises a ValueError for options that the model does not have."""
        # Plain data, which a configuration holds.
        options = model_options.checked(self.model, self.model_options)
        object.__setattr__(self, "model_options", options)
        if self.precision == "binary":
            return
        if model_options.has_argument(self.model, "precision") is False:
            raise ValueError(
                f"{self.model} exists in precision 'binary' alone. Received: "
                f"{self.precision!r}"
            )
        if self.has_real_weights and not self.is_latent:
            raise ValueError(
                f"precision {self.precision!r} has no binary weights for optimizer "
                f"{self.optimizer!r}. Give one of latent weights: "
                f"{', '.join(LATENT_OPTIMIZERS)}."
            )

    def _require_optimizer_fields(self) -> None:
        """Raises a ValueError for fields that the optimizers do not have."""
        for name, known in settings(type(self)).items():
            has_none = known.ranges and self.optimizer not in known.ranges
            if has_none and getattr(self, name) is not None:
                raise ValueError(
                    f"optimizer {self.optimizer!r} has no {name}. Those that have it: "
                    f"{', '.join(known.ranges)}."
                )
        if (self.b is None) != (self.a is None):
            raise ValueError("A filter needs both b and a, or neither.")
        if self.is_latent and self.real_optimizer != "adam":
            raise ValueError(
                f"real_optimizer {self.real_optimizer!r} has no effect beside "
                f"optimizer {self.optimizer!r}, which trains all parameters."
            )
        if self.momentum is not None and "sgd" not in self.plain_optimizers:
            raise ValueError("momentum has no effect without sgd.")
        if self.binary_schedule is not None and self.optimizer not in DECAYING:
            raise ValueError(
                f"binary_schedule has no effect: nothing decays in optimizer "
                f"{self.optimizer!r}. It does in {', '.join(DECAYING)}."
            )
        if self.embedding_updates is not None and self.is_latent:
            raise ValueError(
                f"embedding_updates has no effect beside optimizer {self.optimizer!r}, "
                "which trains latent weights."
            )
        if self.latent_scale not in (None, 1) and (
            not self.is_latent or self.has_real_weights
        ):
            raise ValueError(
                "latent_scale has no effect without latent weights, which optimizer "
                f"{', '.join(LATENT_OPTIMIZERS)} train in precision 'binary'."
            )

    def _require_effects(self) -> None:
        """Raises a ValueError for fields that have no effect beside others."""
        if self.compute_dtype == "mixed_float16" and self.accumulate_steps > 1:
            raise ValueError(
                "accumulate_steps cannot be counted where mixed_float16 skips batches. "
                "Give compute_dtype mixed_bfloat16."
            )
        schedules = (self.schedule, self.binary_schedule)
        if self.final_factor is not None and "exponential" not in schedules:
            raise ValueError("final_factor has no effect without schedule exponential.")
        if self.teacher is None:
            for name in _OF_TEACHERS:
                if getattr(self, name) != defaults_of(self.kind)[name]:
                    raise ValueError(f"{name} has no effect without a teacher.")
        elif self.label_smoothing and not self.hard_labels:
            raise ValueError(
                "label_smoothing has no effect beside a teacher without hard_labels: "
                "no label is learned."
            )

    def _require_ranges(self) -> None:
        """Raises a ValueError unless all numbers are in their ranges."""
        for name, known in settings(type(self)).items():
            value = getattr(self, name)
            if known.range is not None and value is not None:
                problem = range_problem(name, value, self.optimizer)
                if problem:
                    raise ValueError(problem)
        problem = warmup_problem(self.warmup_epochs, min(self.stage_epochs()))
        if problem:
            raise ValueError(problem)

    @property
    def network(self) -> str:
        """Name of the trained network."""
        return self.model

    @property
    def is_latent(self) -> bool:
        """Whether binary weights are the signs of latent ones."""
        return self.optimizer in LATENT_OPTIMIZERS

    @property
    def has_real_weights(self) -> bool:
        """Whether no weight of the network has 1 bit."""
        return self.precision in ("binary_activations", "float")

    @property
    def plain_optimizers(self) -> tuple[str, ...]:
        """Returns the optimizers of Keras that train."""
        return (self.optimizer if self.is_latent else self.real_optimizer,)

    def stage_epochs(self) -> tuple[int, ...]:
        """Returns the number of epochs of each stage, in order."""
        return (self.epochs,)


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class OneStepFields(RecipeFields):
    """The fields of `larq_bnnopt.recipes.OneStep`."""

    kind: ClassVar[str] = "one_step"
    title: ClassVar[str] = "one step"


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoStepFields(RecipeFields):
    """The fields of `larq_bnnopt.recipes.TwoStep`."""

    kind: ClassVar[str] = "two_step"
    title: ClassVar[str] = "two steps"
    stages: ClassVar[Mapping[str, str]] = {
        "first_epochs": "epochs of stage 1",
        "epochs": "epochs of stage 2",
    }

    optimizer: str = "adam"
    schedule: str = "linear"
    first_epochs: int | None = setting(
        None, "number of epochs of stage 1", range=COUNT, unset="as many as of stage 2"
    )
    weight_decay: float = 5e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision != "binary":
            raise ValueError(
                "two_step makes weights binary in stage 2, so its precision is "
                f"'binary'. Received: {self.precision!r}. Give recipe one_step."
            )

    def stage_epochs(self) -> tuple[int, ...]:
        """Returns the numbers of epochs of both stages."""
        first = self.epochs if self.first_epochs is None else self.first_epochs
        return first, self.epochs


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuneFields(RecipeFields):
    """The fields of `larq_bnnopt.recipes.FineTune`."""

    kind: ClassVar[str] = "fine_tune"
    title: ClassVar[str] = "fine-tuning"
    stages: ClassVar[Mapping[str, str]] = {
        "head_epochs": "epochs of the new classifier alone",
        "epochs": "epochs of the whole model",
    }

    model: str = ""
    start: str = setting(
        "",
        ".keras file, or folder of a run, of the model to start from: a classifier "
        "that ends with a dense layer, and perhaps a softmax",
        label="trained model to start from",
    )
    learning_rate: float = 1e-3
    head_epochs: int = setting(
        3, "number of epochs of the new classifier alone", range=COUNT_OR_0
    )

    def __post_init__(self) -> None:
        settle(self)
        if not self.start:
            raise ValueError("fine_tune needs start, the file of a trained model.")
        if self.model:
            raise ValueError(
                f"fine_tune has its model from start. Received: {self.model!r}"
            )
        for name in ("image_size", "text_length", "vocab_size"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} of fine_tune is that of its model; leave it out."
                )
        for name in _OF_NEW_MODELS:
            if getattr(self, name) != defaults_of(self.kind)[name]:
                raise ValueError(
                    f"{name} belongs to a new model, and fine_tune starts from a "
                    "trained one; leave it out."
                )
        super().__post_init__()

    @property
    def network(self) -> str:
        """Path of the trained network."""
        return self.start

    def stage_epochs(self) -> tuple[int, ...]:
        """Returns the epochs of the classifier, if there are any, and of the model."""
        return (*((self.head_epochs,) if self.head_epochs else ()), self.epochs)


# Optimizers that train latent weights, and those in which something decays.
LATENT_OPTIMIZERS = tuple(settings(RecipeFields)["real_optimizer"].choices)
DECAYING = ("diode", "gradient_filter", "bop", "bop2nd")
KINDS: dict[str, type[RecipeFields]] = {
    recipe.kind: recipe for recipe in (OneStepFields, TwoStepFields, FineTuneFields)
}


def defaults_of(kind: str) -> dict[str, Any]:
    """Returns the defaults of a kind of recipe by field."""
    return {f.name: default_of(f) for f in dataclasses.fields(KINDS[kind])}


def with_later_fields(kind: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Returns stored fields with the defaults of those that came after them.

    Args:
        kind: The kind of recipe.
        stored: Fields that an earlier release may have written.
    """
    return {**defaults_of(kind), **stored}


def own_fields(kind: str) -> tuple[str, ...]:
    """Returns the names of the fields that only this kind of recipe has.

    Example:
        >>> own_fields("two_step")
        ('first_epochs',)
    """
    shared = RecipeFields.__dataclass_fields__
    names = (field.name for field in dataclasses.fields(KINDS[kind]))
    return tuple(name for name in names if name not in shared)


def option_help(name: str) -> str:
    """Returns the help of the option for a field, with its defaults.

    Example:
        >>> option_help("batch_size"), option_help("optimizer")[-32:]
        ('images in a batch; default: 64', 'default: diode, of two_step adam')
    """
    owners = [kind for kind in KINDS if name in own_fields(kind)]
    known = settings()[name]
    text = f"of {owners[0]}: {known.text}" if owners else known.text
    words = [*_defaults(name, owners or list(KINDS), known.unset)]
    return f"{text}; default: {', '.join(words)}" if words else text


def _defaults(name: str, kinds: list[str], unset: str | None) -> Iterator[str]:
    """Yields the default of the first kind, then those of others that differ."""
    first, *others = kinds
    usual = defaults_of(first)[name]
    if text := _default_text(usual, unset):
        yield text
    for kind in others:
        value = defaults_of(kind)[name]
        if value != usual and (text := _default_text(value, unset)):
            yield f"of {kind} {text}"


def _default_text(value: Any, unset: str | None) -> str:
    if value is None or value == {}:
        return unset or ""
    if isinstance(value, float):
        return f"{value:g}".replace("e-0", "e-")
    return str(value)


def range_of(name: str, optimizer: str | None = None) -> FieldRange:
    """Returns the valid numbers of a field.

    Args:
        name: The field.
        optimizer: The optimizer of the binary weights, on which they may depend.
            Defaults to `None`, not known.

    Example:
        >>> print(range_of("alpha", "diode"), range_of("alpha", "gradient_filter"))
        in [0, 1) in (0, 1]
    """
    known = settings()[name]
    valid = known.ranges.get(optimizer or "", known.range)
    if valid is None:
        raise KeyError(f"{name} has no range.")
    return valid


def range_problem(
    name: str, value: float, optimizer: str | None = None, called: str | None = None
) -> str | None:
    """Returns the error text for the value of a field, `None` if it is valid.

    Args:
        name: The field.
        value: Its value.
        optimizer: As for `range_of`. Defaults to `None`.
        called: What the user calls the field. Defaults to `None`, its name.
    """
    valid = range_of(name, optimizer)
    if value in valid:
        return None
    return f"{called or name} must be {valid}. Received: {value}"


def warmup_problem(
    warmup_epochs: float, fewest_epochs: int, called: str | None = None
) -> str | None:
    """Returns the error text for a warm-up, `None` if it is valid.

    Args:
        warmup_epochs: Its epochs.
        fewest_epochs: Epochs of the shortest stage.
        called: As for `range_problem`. Defaults to `None`.
    """
    if 0 <= warmup_epochs < fewest_epochs:
        return None
    return (
        f"{called or 'warmup_epochs'} must be at least 0 and below the {fewest_epochs} "
        f"epochs. Received: {warmup_epochs}"
    )
