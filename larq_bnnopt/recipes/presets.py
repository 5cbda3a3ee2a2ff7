"""Presets: the published settings of the papers, by name."""

from __future__ import annotations

import dataclasses

from larq_bnnopt.recipes.one_step import OneStep
from larq_bnnopt.recipes.recipe import Recipe
from larq_bnnopt.recipes.two_step import TwoStep

IMAGENET_IMAGES = 1_281_167


@dataclasses.dataclass(frozen=True)
class Preset:
    """The published settings of a paper.

    Attributes:
        recipe: The settings.
        source: Where they are published, and what the source does not state.
    """

    recipe: Recipe
    source: str


PRESETS: dict[str, Preset] = {
    "gradient_filter_cifar10": Preset(
        OneStep(
            model="birealnet20",
            dataset="cifar10",
            optimizer="gradient_filter",
            alpha=1e-3,
            gamma=0.1,
            real_optimizer="sgd",
            learning_rate=0.1,
            weight_decay=1e-4,
            schedule="cosine",
            epochs=400,
            batch_size=256,
        ),
        "Paper 001 (gradient filtering), section 4 and table 2.",
    ),
    "gradient_filter_imagenet": Preset(
        OneStep(
            model="reactnet_a",
            dataset="imagenet2012",
            optimizer="gradient_filter",
            alpha=1e-5,
            gamma=0.1,
            learning_rate=2.5e-3,
            schedule="linear",
            # 600,000 steps.
            epochs=-(-600_000 * 510 // IMAGENET_IMAGES),
            batch_size=510,
        ),
        "Paper 001 (gradient filtering), section 4 and table 3. Its code learns from a "
        "teacher (ResNet-34): give one as --teacher.",
    ),
    "diode_imagenet": Preset(
        OneStep(
            model="reactnet_a",
            dataset="imagenet2012",
            optimizer="diode",
            alpha=0.99,
            beta=0.9999,
            learning_rate=1.25e-3,
            schedule="cosine",
            epochs=256,
            batch_size=256,
        ),
        "Paper 003 (Diode), section 4.1 and table 1: alpha, beta, eta = 1 and the "
        "cosine. It keeps the rest as its predecessors have it: rate, epochs and batch "
        "are AdamBNN's. They learn from a teacher: give one as --teacher.",
    ),
    "adambnn_imagenet": Preset(
        TwoStep(
            model="reactnet_a",
            dataset="imagenet2012",
            optimizer="adam",
            weight_decay=5e-6,
            learning_rate=1.25e-3,
            schedule="linear",
            epochs=256,
            batch_size=256,
        ),
        "Paper 000 (AdamBNN): the scripts of both steps in its code. They learn from a "
        "teacher (ResNet-34) alone: give one as --teacher.",
    ),
    "meliusnet_imagenet": Preset(
        OneStep(
            model="meliusnet22",
            dataset="imagenet2012",
            optimizer="adam",
            learning_rate=2e-3,
            schedule="cosine",
            warmup_epochs=5,
            epochs=120,
            batch_size=256,
        ),
        "Paper 002 (MeliusNet), section 4.1: Adam with a warm-up, there only slightly "
        "worse than RAdam. The batch size is not stated.",
    ),
}
