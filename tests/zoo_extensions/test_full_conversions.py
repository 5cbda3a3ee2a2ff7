"""Every network at full size as a .tflite: binary, equal layer by layer, as counted."""

import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx

from ..converters.runtime.parity import answers_of, assert_repeats, kernels_here
from .test_models import TEXTS, binary_layers, images, make_trained_looking, narrow

pytestmark = pytest.mark.slow

# Its conversion takes 20 GB.
TOO_LARGE = "bnext_large"
# The share of the largest value by which sums of real numbers in another order differ.
ROUNDING = 1e-5
# What PokeBNN adds up from block to block differs by 2e-7 after the first sign and
# steadily more, to 3e-5 after the 42nd of 1.25x (TensorFlow 2.19).
DEEP_ROUNDING = 5e-5


# Texts are not drawn as images are: tests/converters/test_bert.py converts them.
@pytest.mark.parametrize("name", sorted({*zx.list_models()} - TEXTS - {TOO_LARGE}))
def test_converts_at_full_size(name):
    rounding = DEEP_ROUNDING if name.startswith("pokebnn") else ROUNDING
    tf.keras.utils.set_random_seed(0)
    # Softmax saturates and would hide differences.
    model = zx.create_model(name, latent_weights=False, classifier_activation=None)
    make_trained_looking(model)
    inputs = images(2, model.input_shape[1:])
    assert np.ptp(model(inputs).numpy(), axis=0).max() > 0
    conversion = converters.convert(model, inputs=inputs)
    report = conversion.report
    assert not report.audit.stayed_float and not report.messages
    assert len(report.audit.converted) == len(binary_layers(model))
    assert_bytes_are_as_counted(model, report.audit)
    verification = report.verification
    assert not verification.untraced
    assert verification.first_mismatch is None
    assert verification.output_difference < rounding
    counted = zx.count_ops(model).memory_bits / 8
    # The description of the graph weighs more in a small file.
    if counted > 2**20:
        assert report.audit.num_bytes == pytest.approx(counted, rel=0.03)
    # The binary kernels say the same.
    answers = answers_of(
        conversion.content, {model.input_names[0]: inputs}, alone=False
    )
    for kernels in kernels_here():
        for num_threads in (1, 2):
            options = {"kernels": kernels, "num_threads": num_threads}
            assert_repeats(answers, tolerance=rounding, **options)


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
    # Batch normalization before signs; shifts around them.
    fewer = "ADD" if name == "reactnet_a" else "MUL"
    assert ours.audit.operators[fewer] < plain.audit.operators[fewer] / 2


def assert_bytes_are_as_counted(model, audit):
    """Ties the bytes of each binary operator to the bits that `count_ops` counts."""
    counts = {layer.name: layer for layer in zx.count_ops(model).layers}
    assert len(audit.binary) == audit.operators["LceBconv2d"] > 0
    for entry in audit.binary:
        words = filters = 0
        # Several where twins were merged.
        for name in entry.layers:
            counted = counts[name]
            channels = counted.kernel_shape[-2]
            assert counted.memory_bits == np.prod(counted.kernel_shape)
            # Whole words of 32 channels.
            words += counted.memory_bits // channels * -(-channels // 32)
            filters += counted.kernel_shape[-1]
        has_bits = entry.predicted_bytes == 4 * words + 4 * filters
        assert has_bits or entry.predicted_bytes == 4 * words + 8 * filters
        assert entry.num_bytes + entry.shared_bytes == entry.predicted_bytes


@pytest.mark.parametrize("name", ["meliusnet22", "reactnet_a", "audio_mlp"])
def test_bytes_of_a_narrow_network_are_as_counted(name):
    model = narrow(name)
    make_trained_looking(model)
    report = converters.convert(model, inputs=None).report
    assert_bytes_are_as_counted(model, report.audit)
