"""Every family learns, with binary kernels by Diode and with latent ones by Adam."""

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import datasets, recipes
from larq_bnnopt.callbacks import binary_kernels
from zoo_extensions import registry

STEPS = 60

_DENSE = {
    "stem": "cifar",
    "stem_filters": 16,
    "growth": 16,
    "blocks": (1, 1, 2),
    "transitions": (32, 32),
}
_RESIDUAL = {"stem": "cifar", "blocks": (1, 1, 1), "filters": (16, 32, 64)}
NARROW = {
    "tiny_residual_bnn": {},
    "resnet_e18": _RESIDUAL,
    "birealnet20": _RESIDUAL,
    "reactnet_bireal18": _RESIDUAL,
    "meliusnet22": _DENSE,
    "meliusnet_a": _DENSE,
    "binary_densenet28": _DENSE | {"blocks": (2, 2, 3)},
    "reactnet_a": {"stem": "cifar", "filters": (8, 16, 32, 64)},
    "bnext18": _RESIDUAL,
    "pokebnn_050": {"blocks": (1, 1), "filters": (16, 32)},
}


@pytest.fixture(scope="module")
def data():
    return datasets.load("fashion_mnist_mini", batch_size=64, augment=False)


def check_learns(name, fields, optimizer, data):
    tf.keras.utils.set_random_seed(0)
    latent = optimizer == "adam"
    factory = registry._MODELS[name].factory
    shape = data.input_shape
    model = factory(
        input_shape=shape, num_classes=10, latent_weights=latent, **fields
    ).build()
    model.compile(
        recipes.OneStep(optimizer=optimizer).build_optimizer(STEPS),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    before = [np.sign(kernel.numpy()) for kernel in binary_kernels(model).values()]
    losses = []
    for step, batch in enumerate(data.train.take(STEPS)):
        if name == "bnext18" and latent and step == STEPS // 2:
            anneal(model)
        losses.append(model.train_on_batch(*batch, reset_metrics=True)[0])
    assert len(losses) == STEPS
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
    _, accuracy = model.evaluate(data.test, verbose=0)
    assert accuracy > 0.4  # Chance gives 0.1.
    for old, kernel in zip(before, binary_kernels(model).values(), strict=True):
        assert np.any(np.sign(kernel.numpy()) != old)
        assert latent or set(np.unique(kernel.numpy())) == {-1.0, 1.0}


def anneal(model):
    """Makes signs of kernels that were real."""
    callback = zx.TemperatureDecay(1e-6)
    callback.set_model(model)
    callback.on_epoch_begin(1)


@pytest.mark.parametrize(
    "optimizer", ["diode", pytest.param("adam", marks=pytest.mark.slow)]
)
def test_learns(optimizer, data):
    fields = {"filters": (16, 32), "convolutions_per_stage": 1}
    check_learns("tiny_residual_bnn", fields, optimizer, data)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["diode", "adam"])
@pytest.mark.parametrize("name", NARROW)
def test_every_family_learns(name, optimizer, data):
    check_learns(name, NARROW[name], optimizer, data)
