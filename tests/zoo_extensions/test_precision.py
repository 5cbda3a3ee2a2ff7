"""Full-precision twins of the networks, and their halves."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx
from larq_bnnopt.optimizers import is_binary_variable
from larq_bnnopt.recipes.two_step import with_real_kernels
from zoo_extensions.binary_factory import PRECISIONS

from .test_models import (
    NARROW,
    binary_layers,
    check_gradients,
    images_for,
    make_trained_looking,
    narrow,
)

# One for each kind of graph in the ordinary suite.
QUICK = {"meliusnet22", "birealnet20", "reactnet_a", "bnext18", "audio_mlp"}
NAMES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
    for name in NARROW
]
ACTIVATIONS = (
    tf.keras.layers.PReLU,
    tf.keras.layers.Activation,
    zx.layers.DPReLU,
)
JOINTS = (
    tf.keras.layers.Add,
    tf.keras.layers.Concatenate,
    zx.layers.ReshapeAdd,
)


def twin(name, precision="float", **fields):
    return narrow(name, **{"latent_weights": True, "precision": precision, **fields})


def weighted_layers(model):
    """Names and shapes of all weights, without the temperatures of quantizers."""
    return [
        (layer.name, weight.shape)
        for layer in model.layers
        for weight in layer.weights
        if "temperature" not in weight.name
    ]


def without_names(config):
    """A configuration without the numbered names of quantizers in it."""
    if isinstance(config, dict):
        return {k: without_names(v) for k, v in config.items() if k != "name"}
    return config


def consumers(model, layer):
    return [node.outbound_layer for node in layer.outbound_nodes]


def has_activation_beside(model, layer):
    """Whether a convolution reads an activation, or one follows its normalization."""
    (before,) = (node.inbound_layers for node in layer.inbound_nodes)
    if isinstance(before, ACTIVATIONS):
        return True
    (norm,) = consumers(model, layer)
    assert isinstance(norm, tf.keras.layers.BatchNormalization)
    after = consumers(model, norm)
    while isinstance(after[0], JOINTS):
        after = consumers(model, after[0])
    return isinstance(after[0], ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_a_twin_is_its_network_with_real_kernels_and_activations(name):
    binary, real = twin(name, "binary"), twin(name)
    assert weighted_layers(real) == weighted_layers(binary)
    layers = binary_layers(real)
    assert [layer.name for layer in layers] == [
        layer.name for layer in binary_layers(binary)
    ]
    for layer in layers:
        assert layer.input_quantizer is layer.kernel_quantizer is None
        assert layer.kernel_constraint is None
        assert layer.pad_values == 0
        # Glorot's standard deviation, as all real kernels start.
        fan = sum(layer.kernel.shape[-2:]) * np.prod(layer.kernel.shape[:2])
        spread = np.sqrt(2 / fan)
        size = layer.kernel.shape.num_elements()
        assert layer.kernel.numpy().std() == pytest.approx(spread, rel=8 / size**0.5)
        assert has_activation_beside(real, layer), layer.name
    assert not any(isinstance(layer, zx.layers.RSign) for layer in real.layers)
    # Some normalizations start at a scale of zero.
    make_trained_looking(real)
    for layer in real.layers:
        # Of the two channels of a narrow squeeze, a draw may leave none alive.
        if layer.name.endswith("squeeze_conv"):
            layer.bias.assign_add(5 * tf.ones_like(layer.bias))
    check_gradients(real)
    counted, expected = zx.count_ops(real), zx.count_ops(binary)
    assert counted.bops == 0
    assert counted.flops == expected.bops + expected.flops > expected.flops
    kernels = sum(layer.kernel.shape.num_elements() for layer in layers)
    assert counted.memory_bits == expected.memory_bits + 31 * kernels - sum(
        32 for weight in binary.weights if "temperature" in weight.name
    )


def test_a_block_of_a_twin_is_relu_convolution_and_normalization_with_a_shortcut():
    model = twin("birealnet20")
    make_trained_looking(model)
    conv, norm, add = (
        model.get_layer(f"stage_0_block_0_{part}") for part in ("binconv", "bn", "add")
    )
    shortcut = model.get_layer("stem_s0_bn").output
    x, y = tf.keras.Model(model.input, [shortcut, add.output])(images_for(model))
    gamma, beta, mean, variance = norm.get_weights()
    sums = tf.nn.conv2d(np.maximum(x, 0), conv.kernel, 1, "SAME").numpy()
    expected = x + (sums - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta
    assert (x.numpy() < 0).any()
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_rsign_leaves_its_shift():
    model = twin("reactnet_bireal18")
    shift = model.get_layer("stage_0_block_0_rsign")
    shift.set_weights([np.linspace(-1, 1, shift.bias.shape[0])])
    conv = model.get_layer("stage_0_block_0_binconv")
    x, y = tf.keras.Model(model.input, [shift.input, conv.output])(images_for(model))
    expected = tf.nn.conv2d(x + shift.bias, conv.kernel, 1, "SAME")
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_binary_activations_are_the_first_of_two_steps(name):
    tf.keras.utils.set_random_seed(0)
    expected = with_real_kernels(twin(name, "binary"))
    model = twin(name, "binary_activations")
    for ours, theirs in zip(model.layers[1:], expected.layers[1:], strict=True):
        assert ours.name == theirs.name
        assert without_names(ours.get_config()) == without_names(theirs.get_config())
    model.set_weights(expected.get_weights())
    np.testing.assert_array_equal(model(images_for(model)), expected(images_for(model)))
    for layer in binary_layers(model):
        assert layer.kernel_quantizer is None and layer.input_quantizer is not None


@pytest.mark.parametrize("latent", [True, False])
def test_binary_weights_multiply_real_activations(latent):
    model = twin("resnet_e18", "binary_weights", latent_weights=latent)
    for layer in binary_layers(model):
        assert layer.input_quantizer is None
        assert layer.kernel_quantizer.precision == 1
        assert is_binary_variable(layer.kernel) != latent
        assert has_activation_beside(model, layer)
    count = zx.count_ops(model)
    assert count.bops == 0
    # As papers count 1-bit weights alone (table 3 of paper 002: BWN, 18.1e8).
    assert count.flops == zx.count_ops(twin("resnet_e18")).flops
    assert count.memory_bits == zx.count_ops(twin("resnet_e18", "binary")).memory_bits
    check_gradients(model)


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("birealnet20", {"precision": "half"}, "precision='half' must be 'binary', 'b"),
        *(
            (
                "birealnet20",
                {"precision": precision, "latent_weights": False},
                f"latent_weights=False must be True for precision='{precision}', whose",
            )
            for precision in ("float", "binary_activations")
        ),
        (
            "birealnet18",
            {"weights": "imagenet", "num_classes": 1000},
            "precision='float' must be 'binary' for weights='imagenet'",
        ),
        (
            "birealnet20",
            {"magnitude_independent": True},
            "must be False for precision='float': real kernels have a magnitude",
        ),
        (
            "birealnet20",
            {"precision": "binary", "zero_start": True},
            "zero_start=True must be None or False for magnitude_independent=False",
        ),
    ],
)
def test_what_real_kernels_cannot_be_is_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        twin(name, **arguments)


def test_the_three_settings_of_figure_4():
    standard = twin("birealnet20", "binary")
    independent = twin(
        "birealnet20", "binary", magnitude_independent=True, zero_start=False
    )
    at_zero = twin("birealnet20", "binary", magnitude_independent=True)
    for a, b, c in zip(*map(binary_layers, (standard, independent, at_zero))):
        assert isinstance(a.kernel_quantizer, lq.quantizers.MagnitudeAwareSign)
        assert a.kernel_constraint is not None
        for layer in (b, c):
            assert isinstance(layer.kernel_quantizer, lq.quantizers.SteSign)
            assert layer.kernel_quantizer.clip_value is None
            assert layer.kernel_constraint is None
        assert a.kernel_initializer.get_config() == b.kernel_initializer.get_config()
        assert np.abs(b.kernel).mean() > 0.01 > 1e-20 > np.abs(c.kernel).max()


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param(precision, marks=[] if precision == "float" else pytest.mark.slow)
        for precision in PRECISIONS
    ],
)
def test_a_twin_converts_and_the_audit_says_why_it_is_not_binary(precision):
    model = narrow("tiny_residual_bnn", latent_weights=True, precision=precision)
    make_trained_looking(model)
    inputs = images_for(model, 16)
    if precision == "binary":
        report = converters.convert(model, inputs=inputs).report
        assert len(report.audit.converted) == 6
        return
    with pytest.warns(UserWarning, match="stayed float"):
        report = converters.convert(model, inputs=inputs).report
    assert report.verification.passed and not report.audit.converted
    reason = {
        "float": "its inputs are not binary (input_quantizer is None)",
        "binary_weights": "its inputs are not binary (input_quantizer is None)",
        "binary_activations": "its kernel is not binary (None)",
    }[precision]
    assert {layer.reason for layer in report.audit.stayed_float} == {reason}
    assert len(report.audit.stayed_float) == 6
