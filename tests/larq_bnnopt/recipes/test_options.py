"""What a recipe says reaches the model, the optimizers and their schedules."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from larq_bnnopt import optimizers, recipes
from larq_bnnopt.callbacks import binary_kernels
from larq_bnnopt.optimizers.updates import gradient_filter, iir_filter
from larq_bnnopt.recipes import OneStep, Run, recipe_of
from larq_bnnopt.recipes.recipe import latent_kernels

STEPS = 40


def optimizer_of(**fields):
    """The optimizer of a recipe for a stage of so many steps."""
    return OneStep(**fields).build_optimizer(STEPS)


def binary_of(**fields):
    """The optimizer of the binary weights."""
    binary, *_ = optimizer_of(**fields).optimizers
    return binary


def values(hyperparameter):
    """The values of a hyperparameter over the run."""
    return [float(hyperparameter(step)) for step in (0, 20, 40)]


@pytest.fixture(scope="module")
def data():
    return OneStep().load_data()


def eta_of(shape):
    return values(binary_of(binary_schedule=shape, eta=2.0)._learning_rate)


def test_what_decays_has_its_own_schedule():
    rate = [0.01, 0.005, 0.0]
    for shape, expected in {
        None: [2, 1, 0],
        "linear": [2, 1, 0],
        "step": [2, 2, 0.02],
        "constant": [2, 2, 2],
        "exponential": [2, 0.2, 0.02],
    }.items():
        np.testing.assert_allclose(eta_of(shape), expected, rtol=1e-5, atol=1e-7)
        real = optimizer_of(binary_schedule=shape).default_optimizer._learning_rate
        np.testing.assert_allclose(values(real), rate, atol=1e-7)


def test_an_exponential_decay_is_that_of_pytorch():
    """lr * gamma ** epoch for gamma = final_factor ** (1 / epochs)."""
    binary = binary_of(binary_schedule="exponential", final_factor=0.6**8)
    per_epoch = STEPS // 8
    found = [float(binary._learning_rate(per_epoch * epoch)) for epoch in range(9)]
    np.testing.assert_allclose(found, 0.6 ** np.arange(9), rtol=1e-5)
    assert min(found) > 0


@pytest.mark.parametrize(
    "fields, kind, decaying, expected",
    [
        ({"optimizer": "gradient_filter"}, optimizers.GradientFilter, "alpha",
         {"alpha": 0.25, "gamma": 0.1, "order": 2}),
        ({"optimizer": "gradient_filter", "order": 1}, optimizers.GradientFilter,
         "alpha", {"order": 1}),
        ({"optimizer": "bop"}, optimizers.Bop, "gamma",
         {"gamma": 1e-4, "threshold": 1e-8}),
        ({"optimizer": "bop", "threshold": 0.0, "gamma": 1e-3}, optimizers.Bop,
         "gamma", {"gamma": 1e-3, "threshold": 0.0}),
        ({"optimizer": "bop2nd"}, optimizers.Bop2ndOrder, "gamma",
         {"gamma": 1e-7, "threshold": 1e-6, "sigma": 1e-3}),
        ({"initial_inertia": 0.2}, optimizers.Diode, "learning_rate",
         {"initial_inertia": 0.2}),
    ],
)  # fmt: skip
def test_a_recipe_sets_the_hyperparameters(fields, kind, decaying, expected):
    binary = binary_of(**fields)
    assert type(binary) is kind
    config = binary.get_config()
    schedule = config[decaying]["config"]
    for name, value in expected.items():
        found = schedule["initial_learning_rate"] if name == decaying else config[name]
        assert found == pytest.approx(value), name
    constant = binary_of(**fields, binary_schedule="constant").get_config()[decaying]
    assert constant["config"]["end_learning_rate"] > 0


def test_the_general_filter_has_those_of_the_gradient_filter_by_default():
    averages = gradient_filter.averages_for_steps(STEPS)
    alpha, gamma = averages["alpha"], averages["gamma"]
    config = binary_of(optimizer="iir").get_config()
    impulse = np.r_[1.0, np.zeros(99)]
    inner = scipy.signal.lfilter([gamma], [1, gamma - 1], impulse)
    expected = scipy.signal.lfilter([alpha], [1, alpha - 1], inner)
    found = scipy.signal.lfilter(config["b"], config["a"], impulse)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)
    b, a = scipy.signal.butter(2, 0.05)
    config = binary_of(optimizer="iir", b=b, a=tuple(a)).get_config()
    np.testing.assert_array_equal(config["b"], b)
    np.testing.assert_array_equal(config["a"], a)
    assert iir_filter.low_pass(1.0, 0.5) == ((0.5,), (1.0, -0.5, 0.0))


def test_sgd_has_its_momentum():
    assert optimizer_of(real_optimizer="sgd").default_optimizer.momentum == 0.9
    assert optimizer_of(optimizer="sgd", momentum=0.5).momentum == 0.5
    assert OneStep(optimizer="sgd").resolved(10).momentum == 0.9
    assert OneStep().resolved(10).momentum is None


def test_a_resolved_recipe_says_what_its_optimizer_starts_with():
    found = OneStep(optimizer="bop").resolved(10)
    assert (found.threshold, found.gamma, found.eta) == (1e-8, 1e-4, None)
    assert OneStep().resolved(10).eta == 1.0
    tuned = recipes.FineTune(start="x.keras")
    assert tuned.resolved(10).initial_inertia == 0.1
    assert dataclasses.replace(tuned, optimizer="bop").resolved(9).threshold == 1e-8


def test_latent_weights_are_scaled_before_the_training(data):
    plain, scaled = (
        OneStep(optimizer="adam", latent_scale=scale).build_model(data)
        for scale in (1.0, 0.25)
    )
    kernels = list(latent_kernels(plain))
    assert len(kernels) == 6
    for one, other in zip(kernels, latent_kernels(scaled), strict=True):
        np.testing.assert_array_equal(one.numpy() / 4, other.numpy())
    # All others are the same.
    same = [
        np.array_equal(one, other)
        for one, other in zip(plain.get_weights(), scaled.get_weights(), strict=True)
    ]
    assert same.count(False) == 6


def test_options_reach_the_model_and_its_run(data, tmp_path):
    recipe = OneStep(model_options={"clip_value": 1.3}, epochs=1)
    model = recipe.build_model(data)
    signs = [
        layer.input_quantizer.clip_value
        for layer in model.submodules
        if getattr(layer, "input_quantizer", None) is not None
    ]
    assert set(signs) == {1.3} and len(signs) == 6
    run = Run.create(tmp_path / "run")
    run.write_config(recipe.resolved(10).as_dict())
    assert recipe_of(run) == recipe.resolved(10)
    assert "clip_value=1.3" in dict(recipes.settings_of(recipe))["model_options"]


def test_a_wrong_value_is_one_line_of_the_model(data):
    recipe = OneStep(model_options={"pad_values": 3.0})
    with pytest.raises(ValueError, match=r"pad_values=3\.0 must be -1, 0 or 1"):
        recipe.build_model(data)


def test_configurations_of_earlier_versions_load(tmp_path):
    """As they were written before the fields of this file."""
    old = {
        "kind": "one_step", "model": "tiny_residual_bnn", "optimizer": "diode",
        "dataset": "fashion_mnist_mini", "image_size": None, "epochs": 12,
        "batch_size": 64, "accumulate_steps": 1, "real_optimizer": "adam",
        "learning_rate": 0.01, "weight_decay": 0.0, "schedule": "cosine",
        "warmup_epochs": 0, "label_smoothing": 0.0, "alpha": 0.8, "beta": 0.99,
        "gamma": None, "teacher": None, "temperature": 1.0, "hard_labels": 0.0,
        "recalibrate": 0, "augment": True, "seed": 0, "data_dir": None,
    }  # fmt: skip
    tuned = {**old, "kind": "fine_tune", "model": "", "start": "x.keras",
             "alpha": None, "beta": None, "head_epochs": 3,
             "initial_inertia": 0.3}  # fmt: skip
    for name, content, expected in (
        ("one", old, OneStep(alpha=0.8, beta=0.99)),
        ("tuned", tuned, recipes.FineTune(
            start="x.keras", learning_rate=0.01, initial_inertia=0.3)),
        ("adam", {**tuned, "optimizer": "adam"}, recipes.FineTune(
            start="x.keras", learning_rate=0.01, optimizer="adam")),
    ):  # fmt: skip
        run = Run.create(tmp_path / name)
        run.config.write_text(json.dumps({"recipe": content}))
        assert recipe_of(run) == expected


def test_a_model_that_computes_in_16_bits_keeps_what_needs_32(data):
    recipe = OneStep(compute_dtype="mixed_bfloat16")
    before = tf.keras.mixed_precision.global_policy().name
    model = recipe.build_model(data)
    assert tf.keras.mixed_precision.global_policy().name == before
    assert {variable.dtype for variable in model.variables} == {tf.float32}
    assert model.output.dtype == tf.float32
    kernels = binary_kernels(model)
    images, labels = data.train_arrays(64)
    model.train_on_batch(images, labels)
    for kernel in kernels.values():
        assert set(np.unique(kernel.numpy())) == {-1.0, 1.0}
    layer = model.get_layer("stage1_1_conv")
    assert layer.compute_dtype == "bfloat16"
    # A sum of 9 * 32 signs and padded zeros is exact: bfloat16 holds integers to 256.
    x = tf.random.normal((2, 28, 28, layer.input_shape[-1]))
    sums = layer(x).numpy().astype("float32")
    assert layer(x).dtype == tf.bfloat16 and np.abs(sums % 1).max() == 0


@pytest.mark.parametrize(
    "fields, kernels, signs",
    [
        ({"precision": "binary_weights", "optimizer": "radam"}, 6, 0),
        ({"precision": "binary_activations", "optimizer": "radam"}, 0, 6),
        ({"precision": "float", "optimizer": "sgd"}, 0, 0),
    ],
)
def test_precision_says_what_has_1_bit(fields, kernels, signs, data):
    model = OneStep(**fields).build_model(data)
    assert len(binary_kernels(model)) == kernels
    quantized = [
        layer
        for layer in model.submodules
        if getattr(layer, "input_quantizer", None) is not None
    ]
    assert len(quantized) == signs
    images, labels = data.train_arrays(32)
    assert np.isfinite(model.train_on_batch(images, labels)[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"optimizer": "iir", "compute_dtype": "mixed_bfloat16"},
        {"optimizer": "bop2nd", "threshold": 1e-9, "binary_schedule": "exponential"},
        {"optimizer": "radam", "latent_scale": 0.5, "schedule": "constant"},
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(fields, tmp_path):
    """In every bit, with options of the network that resuming has to know."""
    options = {"filters": [8, 16, 32], "clip_value": 1.2}
    recipe = OneStep(**fields, model_options=options, epochs=2, batch_size=750)
    whole = recipes.train(recipe, tmp_path / "whole")
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        recipes.train(recipe, folder, [_StopAfter(1)])
    resumed = recipes.resume(Run(folder))
    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert {layer.compute_dtype for layer in resumed.layers[1:4]} == {
        "bfloat16" if "compute_dtype" in fields else "float32"
    }


class _StopAfter(tf.keras.callbacks.Callback):
    """Ctrl-C in the epoch after some complete ones."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epochs:
            raise KeyboardInterrupt
