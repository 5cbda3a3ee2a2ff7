"""The published settings of the papers by name, as fields of recipes.

Nothing here needs TensorFlow; `larq_bnnopt.recipes.PRESETS` makes recipes of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from larq_bnnopt.recipe_fields import settings

IMAGENET_IMAGES = 1_281_167
# Fields that belong to the optimizer of the binary weights, beside those with ranges.
_OF_OPTIMIZER = (
    "real_optimizer",
    "momentum",
    "binary_schedule",
    "embedding_updates",
)


@dataclasses.dataclass(frozen=True)
class PresetFields:
    """The published settings of a paper as fields of a recipe.

    Attributes:
        fields: The fields that differ from the defaults.
        source: Where they are published, and what the source does not state.
        kind: The kind of recipe.
        taught_by: The preset whose run is the teacher, which must be given, and from
            whose weights the training starts. Defaults to `None`, no teacher is needed.
    """

    fields: Mapping[str, Any]
    source: str
    kind: str = "one_step"
    taught_by: str | None = None


_IMAGENET = {"dataset": "imagenet2012"}
# BNext-18 without the 4-bit layers of its squeeze-excite: the dagger of paper 003.
_BNEXT18_DAGGER = {"model": "bnext18", "model_options": {"squeeze_excite": False}}
_DIODE = {"optimizer": "diode", "alpha": 0.99, "beta": 0.9999, "schedule": "cosine"}
# Paper 002, section 4.2, figure 3.
_FULL_PRECISION = {
    **_IMAGENET,
    "normalize": "per_channel",
    "color_jitter": 0.0,
    "hsv_jitter": 0.1,
    "pca_noise": 0.1,
    "precision": "float",
    "optimizer": "sgd",
    "momentum": 0.9,
    "learning_rate": 0.1,
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "warmup_epochs": 5,
    "epochs": 90,
    "batch_size": 256,
}
_NOT_STATED = (
    "It states neither batch size, momentum and weight decay (here those that are "
    "common for ResNets on ImageNet), nor how strong HSV jitter and PCA noise are (0.1 "
    "each is a choice), nor the widths of the transitions, with which the network has "
    "the printed operations and size within 1 %."
)

PRESET_FIELDS: dict[str, PresetFields] = {
    "gradient_filter_cifar10": PresetFields(
        {
            "model": "birealnet20",
            "dataset": "cifar10",
            "optimizer": "gradient_filter",
            "alpha": 1e-3,
            "gamma": 0.1,
            "real_optimizer": "sgd",
            "learning_rate": 0.1,
            "weight_decay": 1e-4,
            "schedule": "cosine",
            "epochs": 400,
            "batch_size": 256,
        },
        "Paper 001 (gradient filtering), section 4 and table 2.",
    ),
    "gradient_filter_imagenet": PresetFields(
        {
            **_IMAGENET,
            "model": "reactnet_a",
            "optimizer": "gradient_filter",
            "alpha": 1e-5,
            "gamma": 0.1,
            "learning_rate": 2.5e-3,
            "schedule": "linear",
            # 600,000 steps.
            "epochs": -(-600_000 * 510 // IMAGENET_IMAGES),
            "batch_size": 510,
        },
        "Paper 001 (gradient filtering), section 4 and table 3. Its code learns from a "
        "teacher (ResNet-34): give one as --teacher.",
    ),
    "diode_imagenet": PresetFields(
        {
            **_IMAGENET,
            **_DIODE,
            "model": "reactnet_a",
            "learning_rate": 1.25e-3,
            "epochs": 256,
            "batch_size": 256,
        },
        "Paper 003 (Diode), section 4.1 and table 1: alpha, beta, eta = 1 and the "
        "cosine. It keeps the rest as its predecessors have it: rate, epochs and batch "
        "are AdamBNN's. They learn from a teacher: give one as --teacher.",
    ),
    "diode_imagenet_bnext18": PresetFields(
        {
            **_IMAGENET,
            **_DIODE,
            **_BNEXT18_DAGGER,
            "learning_rate": 1e-3,
            "warmup_epochs": 5,
            "epochs": 512,
            "batch_size": 512,
        },
        "Paper 003 (Diode), section 4.1 and table 1: BNext-18 without 4-bit layers, "
        "its 68.2 %. The epochs are four times the 128 of figure 1, which it calls a "
        "quarter of BNext's. It keeps the rest as BNext has it and states neither rate "
        "nor warm-up nor batch: 1e-3, 5 epochs and 512 are a choice. BNext learns from "
        "several teachers: give one as --teacher.",
    ),
    "diode_cifar100": PresetFields(
        {
            **_DIODE,
            **_BNEXT18_DAGGER,
            "dataset": "cifar100",
            "learning_rate": 1e-3,
            "epochs": 200,
            "batch_size": 128,
        },
        "Paper 003 (Diode), section 4.4, table 3 and figures 2 to 4: BNext-18 without "
        "4-bit layers, alpha, beta, eta = 1 and the cosine. It states neither stem nor "
        "epochs, batch size and rate: the stem of ImageNet, 200, 128 and 1e-3 are a "
        "choice.",
    ),
    "adambnn_imagenet": PresetFields(
        {
            **_IMAGENET,
            "model": "reactnet_a",
            "optimizer": "adam",
            "weight_decay": 5e-6,
            "learning_rate": 1.25e-3,
            "schedule": "linear",
            "epochs": 256,
            "batch_size": 256,
        },
        "Paper 000 (AdamBNN): the scripts of both steps in its code. They learn from a "
        "teacher (ResNet-34) alone: give one as --teacher.",
        kind="two_step",
    ),
    "meliusnet_imagenet": PresetFields(
        {
            **_IMAGENET,
            "model": "meliusnet22",
            "normalize": "per_channel",
            # Mirrored and cropped, and no more.
            "color_jitter": 0.0,
            "optimizer": "radam",
            "learning_rate": 2e-3,
            "schedule": "cosine",
            "epochs": 120,
            "batch_size": 256,
        },
        "Paper 002 (MeliusNet), section 4.1: RAdam without a warm-up. There Adam is "
        "only slightly worse with one: --optimizer adam --warmup-epochs 5. The batch "
        "size is not stated.",
    ),
    "meliusnet_float_imagenet": PresetFields(
        {
            **_FULL_PRECISION,
            "model": "meliusnet22",
            "model_options": {
                "blocks": [4, 4, 4, 3],
                "stem": "conv7x7",
                "transition_order": "conv_first",
                "transitions": [160, 192, 224],
            },
        },
        "Paper 002 (MeliusNet), section 4.2 and figure 3: MeliusNet in 32 bits, which "
        f"reaches 62.4 %. {_NOT_STATED}",
    ),
    "densenet_float_imagenet": PresetFields(
        {
            **_FULL_PRECISION,
            "model": "binary_densenet28",
            "model_options": {"transition_order": "conv_first"},
        },
        "Paper 002 (MeliusNet), section 4.2 and figure 3: DenseNet in 32 bits, which "
        f"reaches 62.4 %. {_NOT_STATED}",
    ),
}

# Task of GLUE -> epochs, tokens, batch size and learning rate, as BiT's code has them
# (`default_params` in its `utils_glue.py`).
_BIT: dict[str, tuple[int, int, int, float]] = {
    "cola": (50, 64, 16, 5e-4),
    "mnli": (6, 128, 16, 2e-4),
    "mrpc": (20, 128, 8, 5e-4),
    "qnli": (10, 128, 8, 2e-4),
    "qqp": (6, 128, 32, 2e-4),
    "rte": (20, 128, 8, 5e-4),
    "sst2": (10, 64, 8, 1e-4),
    "stsb": (20, 128, 8, 5e-4),
    "wnli": (20, 128, 8, 5e-4),
}
_OF_BIT = (
    "Paper 003 (Diode), section 4.1 and table 2: alpha, beta, eta = 1 and its cosine "
    "on a binary BERT-Base; rows of words that a batch lacks wait, as in its code. "
    "Rate, epochs, batch, tokens and a linear decay after a warm-up of a tenth are "
    "those of BiT's code, which also decays weights by 0.01 apart from the gradient, "
    "clips each gradient to norm 1, and trains the scales of activations at 1e-4: not "
    "here. Both learn from a BERT fine-tuned on the task: give one as --teacher."
)
_NO_WNLI = " Neither trains WNLI: its settings are those of RTE, a choice."


def _bit_glue(task: str) -> PresetFields:
    """Returns the settings of a binary BERT on a task of GLUE."""
    epochs, tokens, batch_size, rate = _BIT[task]
    fields = {
        **_DIODE,
        "model": "binary_bert_base",
        "dataset": f"glue/{task}",
        "schedule": "linear",
        "binary_schedule": "cosine",
        "embedding_updates": "seen_rows",
        "learning_rate": rate,
        "warmup_epochs": epochs / 10,
        "epochs": epochs,
        "batch_size": batch_size,
        "text_length": tokens,
    }
    return PresetFields(fields, _OF_BIT + (_NO_WNLI if task == "wnli" else ""))


PRESET_FIELDS |= {f"bit_glue_{task}": _bit_glue(task) for task in _BIT}

_OF_MULTI = (
    "BiT (arXiv 2205.13016), multi-distillation, {step} of 3: from 32 bits to 1 in "
    "steps, each of which teaches the next and gives it its first weights. BiT also "
    "goes through activations of 2 bits, which are not here. Rate, epochs, batch and "
    "tokens are those of BiT's code on SST-2; other tasks and networks by --dataset "
    "and --model. {more}"
)


def _bit_multi() -> dict[str, PresetFields]:
    """Returns the three trainings of the multi-distillation."""
    binary = dict(PRESET_FIELDS["bit_glue_sst2"].fields)
    real = {
        name: value
        for name, value in binary.items()
        if name not in {*_DIODE, *_OF_OPTIMIZER}
    }
    first = {**real, "precision": "float", "optimizer": "adam", "schedule": "linear"}
    return {
        "bit_multi_float": PresetFields(
            first,
            _OF_MULTI.format(
                step=1,
                more="Adam is a choice. A float BERT that was fine-tuned on the task "
                "takes its place: give that as --teacher of bit_multi_weights.",
            ),
        ),
        "bit_multi_weights": PresetFields(
            {**binary, "precision": "binary_weights"},
            _OF_MULTI.format(step=2, more="Weights by Diode, as paper 003 has it."),
            taught_by="bit_multi_float",
        ),
        "bit_multi_binary": PresetFields(
            binary,
            _OF_MULTI.format(step=3, more="Weights by Diode, as paper 003 has it."),
            taught_by="bit_multi_weights",
        ),
    }


PRESET_FIELDS |= _bit_multi()


def named(preset: str | None) -> str | None:
    """Returns the name of a preset, which may be written with dashes.

    Example:
        >>> named("bit-glue-sst2")
        'bit_glue_sst2'
    """
    return None if preset is None else preset.replace("-", "_")


def changed(preset: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a preset with some of them given otherwise.

    Another network takes none of the preset's options, and another optimizer none of
    its hyperparameters.

    Args:
        preset: The name of the preset.
        given: The given values by field; options of the network are added to those of
            the preset.

    Raises:
        ValueError: If the preset needs a teacher, and none is given.

    Example:
        >>> fields = changed("diode_cifar100", {"optimizer": "bop", "epochs": 3})
        >>> "alpha" in fields, fields["epochs"], fields["model_options"]
        (False, 3, {'squeeze_excite': False})
    """
    known = PRESET_FIELDS[preset]
    fields = dict(known.fields)
    if known.taught_by is not None:
        if not given.get("teacher"):
            raise ValueError(
                f"{preset} learns from the run of {known.taught_by}: give its folder "
                "as teacher (--teacher)."
            )
        fields["first_weights"] = "teacher"
    options = dict(fields.pop("model_options", {}))
    if given.get("model", fields["model"]) != fields["model"]:
        options = {}
    if given.get("optimizer", fields["optimizer"]) != fields["optimizer"]:
        own = {name for name, one in settings().items() if one.ranges}
        for name in own.union(_OF_OPTIMIZER):
            fields.pop(name, None)
    return {
        **fields,
        **given,
        "model_options": {**options, **given.get("model_options", {})},
    }
