"""The papers' settings: fields that recipes take, and what changes them."""

import dataclasses

import pytest

import zoo_extensions as zx
from larq_bnnopt import preset_fields
from larq_bnnopt.preset_fields import PRESET_FIELDS, changed
from larq_bnnopt.recipes import PRESETS, RECIPES


def test_the_settings_are_those_of_the_papers():
    """Places in the papers: `Preset.source`."""
    headline = PRESETS["diode_imagenet_bnext18"].recipe
    assert (headline.alpha, headline.beta) == (0.99, 0.9999)
    assert headline.resolved(1000).eta == 1.0 and headline.schedule == "cosine"
    assert headline.model_options == {"squeeze_excite": False}
    assert headline.epochs == 4 * 128
    melius = PRESETS["meliusnet_imagenet"].recipe
    assert (melius.optimizer, melius.learning_rate) == ("radam", 0.002)
    assert (melius.epochs, melius.warmup_epochs) == (120, 0)
    assert (melius.normalize, melius.color_jitter) == ("per_channel", 0.0)
    for name in ("meliusnet_float_imagenet", "densenet_float_imagenet"):
        float_one = PRESETS[name].recipe
        assert (float_one.optimizer, float_one.learning_rate) == ("sgd", 0.1)
        assert (float_one.epochs, float_one.warmup_epochs) == (90, 5)
        assert float_one.precision == "float"
        assert float_one.hsv_jitter > 0 and float_one.pca_noise > 0


def test_the_settings_of_glue_are_those_of_diode_and_bit():
    tasks = [name for name in PRESETS if name.startswith("bit_glue_")]
    assert len(tasks) == 9
    for name in tasks:
        recipe = PRESETS[name].recipe
        assert (recipe.alpha, recipe.beta) == (0.99, 0.9999)
        assert recipe.binary_schedule == "cosine" and recipe.schedule == "linear"
        assert recipe.warmup_epochs == pytest.approx(recipe.epochs / 10)
        assert recipe.dataset == f"glue/{name.removeprefix('bit_glue_')}"
        assert recipe.resolved(1000).eta == 1.0
    # `default_params` of BiT's code.
    cola, sst2 = (PRESETS[f"bit_glue_{task}"].recipe for task in ("cola", "sst2"))
    assert (cola.epochs, cola.text_length, cola.batch_size) == (50, 64, 16)
    assert (sst2.epochs, sst2.text_length, sst2.batch_size) == (10, 64, 8)
    assert (cola.learning_rate, sst2.learning_rate) == (5e-4, 1e-4)
    assert preset_fields.named("bit-glue-sst2") in PRESETS


def test_each_step_of_the_multi_distillation_teaches_the_next():
    steps = ("bit_multi_float", "bit_multi_weights", "bit_multi_binary")
    precisions = ("float", "binary_weights", "binary")
    for name, precision, before in zip(steps, precisions, (None, *steps)):
        known = PRESET_FIELDS[name]
        assert known.fields.get("precision", "binary") == precision
        assert known.taught_by == before
        if before:
            with pytest.raises(ValueError, match=f"run of {before}: .*--teacher"):
                changed(name, {})
        fields = changed(name, {"teacher": "run"})
        recipe = RECIPES[known.kind].of(fields)
        assert recipe.starts_trained == (before is not None)
        assert recipe.is_latent == (before is None)
        assert (recipe.epochs, recipe.text_length) == (10, 64)


@pytest.mark.parametrize(
    "name, operations, megabytes",
    [
        ("meliusnet_float_imagenet", 4.5e9, 20.87),
        ("densenet_float_imagenet", 4.0e9, 19.58),
    ],
)
def test_the_networks_in_32_bits_are_as_large_as_printed(name, operations, megabytes):
    """Figure 3 of paper 002, whose MB are of 2**20 bytes."""
    recipe = PRESETS[name].recipe
    model = zx.create_model(
        recipe.model, precision=recipe.precision, **recipe.model_options
    )
    counts = zx.count_ops(model)
    assert counts.ops == pytest.approx(operations, rel=0.01)
    assert 4 * counts.parameters / 2**20 == pytest.approx(megabytes, rel=0.01)


@pytest.mark.parametrize("name", PRESET_FIELDS)
def test_another_network_or_optimizer_takes_nothing_that_is_not_its_own(name):
    cls = RECIPES[PRESET_FIELDS[name].kind]
    taught = {"teacher": "run"} if PRESET_FIELDS[name].taught_by else {}
    plain = cls.of(changed(name, taught))
    first = {"first_weights": "teacher"} if taught else {}
    assert plain == dataclasses.replace(PRESETS[name].recipe, **taught, **first)
    for optimizer in ("diode", "gradient_filter", "bop", "adam"):
        if plain.precision == "binary" or optimizer == "adam":
            cls.of(changed(name, {"optimizer": optimizer, **taught}))
    other = cls.of(changed(name, {"model": "resnet_e18", **taught}))
    assert other.model_options == {} and other.epochs == plain.epochs


def test_options_are_added_to_those_of_the_preset():
    given = {"model_options": {"stem": "cifar"}, "alpha": 0.9}
    fields = preset_fields.changed("diode_cifar100", given)
    assert fields["model_options"] == {"squeeze_excite": False, "stem": "cifar"}
    assert fields["alpha"] == 0.9 and fields["beta"] == 0.9999
    assert "stem" not in PRESET_FIELDS["diode_cifar100"].fields["model_options"]
