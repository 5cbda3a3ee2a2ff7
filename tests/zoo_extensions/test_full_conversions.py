"""Every network at full size as a .tflite: binary, equal layer by layer, as counted."""

import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx

from .test_models import binary_layers, images, make_trained_looking

pytestmark = pytest.mark.slow

# Its conversion takes 20 GB.
TOO_LARGE = "bnext_large"


@pytest.mark.parametrize("name", sorted({*zx.list_models()} - {TOO_LARGE}))
def test_converts_at_full_size(name):
    tf.keras.utils.set_random_seed(0)
    # Softmax saturates and would hide differences.
    model = zx.create_model(name, latent_weights=False, classifier_activation=None)
    make_trained_looking(model)
    inputs = images(2, model.input_shape[1:])
    assert np.ptp(model(inputs).numpy(), axis=0).max() > 0
    report = converters.convert(model, inputs=inputs).report
    assert not report.audit.stayed_float and not report.messages
    assert len(report.audit.converted) == len(binary_layers(model))
    verification = report.verification
    assert not verification.untraced
    assert verification.first_wrong is None
    assert verification.output_difference < 1e-5
    counted = zx.count_ops(model).memory_bits / 8
    # The description of the graph weighs more in a small file.
    if counted > 2**20:
        assert report.audit.num_bytes == pytest.approx(counted, rel=0.03)


@pytest.mark.parametrize("name", ["meliusnet22", "meliusnet_a", "reactnet_a"])
def test_rewrites_save_operators(name):
    tf.keras.utils.set_random_seed(0)
    model = zx.create_model(name, latent_weights=False, classifier_activation=None)
    make_trained_looking(model)
    inputs = images(2, model.input_shape[1:])
    plain = converters.convert(model, inputs=inputs, rewrites=None).report
    ours = converters.convert(model, inputs=inputs).report
    for report in (plain, ours):
        assert not report.audit.stayed_float and not report.verification.untraced
        assert report.verification.output_difference < 1e-5
    assert sum(ours.audit.operators.values()) < sum(plain.audit.operators.values())
    # Batch normalization in front of signs; shifts around them.
    fewer = "ADD" if name == "reactnet_a" else "MUL"
    assert ours.audit.operators[fewer] < plain.audit.operators[fewer] / 2
