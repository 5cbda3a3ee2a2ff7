"""Every model of the zoo, by tables."""

import doctest
import inspect
import pathlib
import re
import runpy

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from larq_zoo.core import utils as larq_zoo_utils
from larq_zoo.literature import meliusnet as larq_zoo_meliusnet
from zookeeper import ComponentField, cli, component, configure

import zoo_extensions as zx
from larq_bnnopt.optimizers import CaseOptimizer, Diode, is_binary_variable
from zoo_extensions import registry

# Parameters as Keras counts them, binary layers, and what papers and training logs of
# the authors print: binary operations in 1e9, OPs in 1e8 (without the last layer where
# `dense` is False), MiB. The numbers of digits are those of the print.
FULL = [
    # name, stem, parameters, layers, BOPs, OPs, dense, MiB
    ("meliusnet22", None, 6_969_672, 34, "4.62", "2.08", False, "3.88"),
    ("meliusnet22", "conv7x7", 6_973_352, 34, None, "2.58", False, "3.89"),
    ("meliusnet29", None, 11_368_776, 48, "5.47", "2.14", False, "5.07"),
    ("meliusnet29", "conv7x7", 11_372_456, 48, None, "2.64", False, "5.08"),
    ("meliusnet42", None, 26_918_984, 74, "9.69", "3.25", False, "10.1"),
    # Table 1 of paper 002 prints 5.25, its Table 4 and the log 5.32.
    ("meliusnet59", None, 55_747_528, 108, "18.3", "5.32", False, "17.39"),
    ("meliusnet_a", None, 9_272_648, 40, "4.85", "1.63", False, "4.05"),
    ("meliusnet_b", None, 12_283_208, 48, "5.72", "1.96", False, "5.00"),
    ("meliusnet_c", None, 12_284_616, 48, "4.35", "1.50", False, "4.46"),
    ("resnet_e18", "conv7x7", 11_699_377, 16, None, "1.63", False, "4.00"),
    ("resnet_e18", "grouped", 11_695_697, 16, None, "1.14", False, "3.98"),
    ("resnet_e34", "conv7x7", 21_814_961, 32, None, "1.92", False, "5.23"),
    ("resnet_e34", "grouped", 21_811_281, 32, None, "1.43", False, "5.21"),
    ("binary_densenet28", "conv7x7", 5_150_504, 23, None, "2.58", False, "4.04"),
    ("binary_densenet28", "grouped", 5_146_824, 23, None, "2.09", False, "4.03"),
    ("binary_densenet37", "conv7x7", 8_734_120, 32, None, "2.70", False, "5.13"),
    ("binary_densenet37", "grouped", 8_730_440, 32, None, "2.20", False, "5.12"),
    ("birealnet18", None, 11_699_112, 16, "1.68", "1.63", False, None),
    ("birealnet34", None, 21_814_696, 32, None, "1.93", True, "5.23"),
    # No paper prints counts of it.
    ("birealnet20", None, 271_098, 18, None, None, False, None),
    ("reactnet_a", None, 29_365_480, 31, "4.82", "0.87", True, None),
    # Reconstructions, without a source to compare with.
    ("reactnet_b", None, 28_840_712, 21, None, None, True, None),
    ("reactnet_c", None, 29_364_488, 21, None, None, True, None),
    ("reactnet_bireal18", None, 11_714_024, 16, "1.68", "1.63", False, None),
    ("reactnet_bireal34", None, 21_844_456, 32, None, None, True, None),
    # OPs by another rule: test_figures.py.
    ("bnext18", None, 12_080_024, 16, "1.68", None, True, None),
    ("bnext_tiny", None, 30_897_019, 31, "4.82", None, True, None),
    ("bnext_small", None, 68_646_773, 31, "10.8", None, True, None),
    ("bnext_middle", None, 134_591_589, 47, "20.1", None, True, None),
    ("bnext_large", None, 326_719_375, 63, "52.2", None, True, None),
    # Their ACE: test_pokebnn.py.
    ("pokebnn_050", None, 7_255_288, 48, None, None, True, None),
    ("pokebnn_075", None, 15_437_756, 48, None, None, True, None),
    ("pokebnn_100", None, 26_658_240, 48, None, None, True, None),
    ("pokebnn_125", None, 40_916_740, 48, None, None, True, None),
    ("pokebnn_140", None, 50_791_015, 48, None, None, True, None),
    ("pokebnn_200", None, 101_920_336, 48, None, None, True, None),
    ("tiny_residual_bnn", None, 309_418, 6, None, None, True, None),
    ("audio_mlp", None, 3_168_296, 3, None, None, True, None),
]

# They take texts, and no image or Keras tensor: test_bert.py, which counts them, too.
TEXTS = {*zx.list_models("binary_bert*")}

# What makes them small, one for each kind of graph.
_DENSE = {
    "blocks": (1, 1, 1, 1),
    "transitions": (32, 32, 32),
    "growth": 32,
    "stem_filters": 32,
}
_RESIDUAL = {"blocks": (1, 1, 2, 1), "filters": (32, 32, 32, 64)}
NARROW = {
    "meliusnet22": _DENSE,
    "meliusnet_a": _DENSE,
    "binary_densenet28": _DENSE,
    "resnet_e18": {**_RESIDUAL, "stem": "grouped"},
    "birealnet18": _RESIDUAL,
    "birealnet20": {"blocks": (1, 2, 1), "filters": (16, 32, 64)},
    "reactnet_a": {"filters": (16, 32, 64, 64)},
    "reactnet_b": {"filters": (16, 32, 64, 64)},
    "reactnet_bireal18": _RESIDUAL,
    "bnext18": {"blocks": (1, 1), "filters": (32, 64)},
    "bnext_tiny": {"filters": (16, 32, 64)},
    "pokebnn_075": {"blocks": (1, 1), "filters": (16, 32)},
    "tiny_residual_bnn": {},
    "audio_mlp": {"units": 64},
}
SHAPE = (32, 32, 3)
# Of those that do not take images.
SHAPES = {"audio_mlp": (40,)}


def binary_layers(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel_quantizer")]


def narrow(name, **fields):
    shape = SHAPES.get(name, SHAPE)
    fields = {"input_shape": shape, "num_classes": 7, "latent_weights": False} | fields
    return registry._MODELS[name].factory(**{**NARROW[name], **fields}).build()


def images(samples=4, shape=SHAPE):
    """Random images, or vectors where the shape is that of one."""
    draw = np.random.default_rng(0).normal(size=(samples, *shape))
    return draw.astype(np.float32)


def images_for(model, samples=4):
    return images(samples, model.input_shape[1:])


def make_trained_looking(model):
    """Statistics and biases as training leaves them, unlike those at the start."""
    generator = np.random.default_rng(1)
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, tf.keras.layers.BatchNormalization)
    ]
    momentum = norms[0].momentum
    for layer in norms:
        layer.momentum = 0.0
    model(images_for(model, 16), training=True)
    for layer in norms:
        layer.momentum = momentum
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            continue
        layer.set_weights(
            [
                weight + generator.uniform(0.1, 0.5, weight.shape).astype(np.float32)
                for weight in layer.get_weights()
            ]
        )


def check_gradients(model):
    inputs = images_for(model, 8)
    with tf.GradientTape() as tape:
        # A batch normalization after them would cancel equal shares.
        loss = tf.tensordot(tf.range(8.0), model(inputs, training=True), 1)[0]
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        assert gradient is not None and np.abs(gradient).max() > 0, variable.name


# Each has another of its family in the ordinary suite.
RARE = {"meliusnet_a", "reactnet_b", "reactnet_bireal18", "bnext_tiny"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[pytest.mark.slow] if name in RARE else [])
        for name in NARROW
    ],
)
def case(request):
    """A narrow model with binary kernels, built once for all tests of it."""
    tf.keras.utils.set_random_seed(0)
    model = narrow(request.param)
    make_trained_looking(model)
    return request.param, model


def test_output(case):
    name, model = case
    output = model(images_for(model)).numpy()
    assert output.shape == (4, 7) and model.name == name
    assert output.std(axis=0).min() > 0
    np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-5)


def test_binary_kernels_are_claimed(case):
    _, model = case
    layers = binary_layers(model)
    assert layers
    for layer in layers:
        assert set(np.unique(layer.kernel.numpy())) == {-1.0, 1.0}
        assert layer.input_quantizer.precision == layer.kernel_quantizer.precision == 1
    claimed = [v for v in model.trainable_variables if is_binary_variable(v)]
    assert [id(v) for v in claimed] == [id(layer.kernel) for layer in layers]
    check_gradients(model)


def test_latent_kernels_are_not(case):
    name, model = case
    latent = narrow(name, latent_weights=True)
    assert not any(is_binary_variable(v) for v in latent.trainable_variables)
    for layer, other in zip(binary_layers(latent), binary_layers(model)):
        assert len(np.unique(layer.kernel.numpy())) > 2
        assert layer.kernel_quantizer.precision == 1
        assert layer.kernel_constraint is not None
        assert layer.kernel.shape == other.kernel.shape and layer.name == other.name
    # Some scales start at zero, under which no kernel has a gradient.
    make_trained_looking(latent)
    check_gradients(latent)


def test_without_top(case):
    name, model = case
    headless = narrow(name, include_top=False)
    assert [layer.name for layer in headless.layers[1:]] == [
        layer.name for layer in model.layers[1 : len(headless.layers)]
    ]
    rest = model.layers[len(headless.layers) :]
    assert all(layer.name.startswith("top") for layer in rest)
    headless.set_weights(model.get_weights()[: len(headless.weights)])
    features = tf.keras.Model(model.input, rest[0].input)
    inputs = images_for(model)
    np.testing.assert_array_equal(headless(inputs), features(inputs))


def test_unknown_size(case):
    name, model = case
    if name in SHAPES:
        pytest.skip("takes vectors of one length")
    free = narrow(name, input_shape=(None, None, 3))
    assert free.input_shape == (None, None, None, 3)
    free.set_weights(model.get_weights())
    np.testing.assert_allclose(free(images()), model(images()), rtol=1e-4, atol=1e-6)


def test_input_tensor_of_an_odd_size_and_other_channels(case):
    name, model = case
    tensor = tf.keras.Input((41,) if name in SHAPES else (33, 41, 2))
    headless = narrow(name, input_tensor=tensor, input_shape=None, include_top=False)
    assert headless.input is tensor
    top = model.get_layer("top_bindense" if name in SHAPES else "top_dense")
    assert headless.output_shape[-1] == top.kernel.shape[-2]
    whole = narrow(name, input_tensor=tensor, input_shape=None)
    assert whole.input is tensor and whole.output_shape == (None, 7)


@pytest.mark.parametrize(
    "suffix", ["keras", pytest.param("h5", marks=pytest.mark.slow)]
)
def test_saves_and_loads(case, suffix, tmp_path):
    _, model = case
    model.save(tmp_path / f"model.{suffix}")
    copy = tf.keras.models.load_model(tmp_path / f"model.{suffix}")
    inputs = images_for(model)
    np.testing.assert_array_equal(copy(inputs), model(inputs))
    assert [type(layer) for layer in copy.layers] == [
        type(layer) for layer in model.layers
    ]
    for layer in binary_layers(copy):
        assert isinstance(layer.kernel_initializer, zx.initializers.BernoulliSign)
        assert is_binary_variable(layer.kernel)


@pytest.mark.slow
def test_saves_as_saved_model(case, tmp_path):
    _, model = case
    model.save(tmp_path / "model")
    copy = tf.keras.models.load_model(tmp_path / "model")
    inputs = images_for(model)
    np.testing.assert_allclose(copy(inputs), model(inputs), rtol=1e-5, atol=1e-6)


def test_cifar_stem(case):
    name, _ = case
    if "stem" not in inspect.signature(registry._MODELS[name]).parameters:
        pytest.skip("has no stems to choose from")
    small = narrow(name, stem="cifar", include_top=False)
    first = next(layer for layer in small.layers if hasattr(layer, "kernel"))
    assert first.strides == (1, 1) and first.kernel_size == (3, 3)
    assert small.output_shape[1] >= 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, latent",
    [*((name, False) for name in NARROW), ("birealnet18", True), ("reactnet_a", True)],
)
def test_converts(name, latent):
    import converters
    from converters.rewrites import REWRITES

    # Without rewrites maps of less than 3x3 pixels are refused.
    shape = SHAPES.get(name, (96, 96, 3))
    model = narrow(name, latent_weights=latent, input_shape=shape)
    make_trained_looking(model)
    inputs = images_for(model, 16)
    for rewrites in (tuple(REWRITES), None):
        report = converters.convert(model, inputs=inputs, rewrites=rewrites).report
        assert not report.audit.stayed_float
        assert len(report.audit.converted) == len(binary_layers(model))
        assert report.verification.passed and not report.verification.untraced
    assert report.audit.operators["LceBconv2d"] == len(binary_layers(model))


@pytest.mark.parametrize("include_top", [True, False])
def test_every_dense_layer_but_the_first_converts_to_a_binary_one(include_top):
    import converters

    model = narrow("audio_mlp", include_top=include_top)
    make_trained_looking(model)
    report = converters.convert(model, inputs=images_for(model, 16)).report
    assert report.verification.passed
    operators = dict(report.audit.operators)
    # The bits of a layer go into the next one as they are.
    expected = {"FULLY_CONNECTED": 1, "LceQuantize": 1, "RESHAPE": 2}
    expected |= {"LceBconv2d": 3, "SOFTMAX": 1} if include_top else {"LceBconv2d": 2}
    assert operators == expected


def test_a_binary_dense_layer_is_a_product_of_signs():
    model = narrow("audio_mlp")
    make_trained_looking(model)
    layers = [model.get_layer(name) for name in ("layer_1_bn", "layer_2_bn")]
    before, after = tf.keras.Model(model.input, [layer.output for layer in layers])(
        images_for(model)
    )
    kernel = model.get_layer("layer_2_bindense").kernel.numpy()[0, 0]
    sums = np.where(before < 0, -1.0, 1.0) @ kernel.astype(np.float64)
    gamma, beta, mean, variance = (
        w.astype(np.float64) for w in layers[1].get_weights()
    )
    expected = (sums - mean) / np.sqrt(variance + layers[1].epsilon) * gamma + beta
    assert before.shape == after.shape == (4, 64)
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-4)


def rounds_to(value, printed):
    """Whether a number agrees with a print of it, rounded or cut."""
    digits = len(printed.partition(".")[2])
    unit = 10.0**-digits
    return -0.5 * unit <= float(value) - float(printed) < unit


@pytest.mark.parametrize(
    "name, stem, parameters, layers, bops, ops, dense, mebibytes",
    [
        pytest.param(*row, marks=[] if row[0] == "birealnet20" else pytest.mark.slow)
        for row in FULL
    ],
    ids=[f"{row[0]}-{row[1]}" for row in FULL],
)
def test_counts(name, stem, parameters, layers, bops, ops, dense, mebibytes):
    model = zx.create_model(name, **({} if stem is None else {"stem": stem}))
    assert model.count_params() == parameters
    assert len(binary_layers(model)) == layers
    profile = lq.models.ModelProfile(model)
    binary, real = profile.op_count("mac", 1), profile.op_count("mac", 32)
    if not dense:
        real -= model.get_layer("top_dense").kernel.shape.num_elements()
    if bops is not None:
        assert rounds_to(binary / 1e9, bops)
    if ops is not None:
        assert rounds_to((binary / 64 + real) / 1e8, ops)
    if mebibytes is not None:
        assert rounds_to(profile.memory / 8 / 2**20, mebibytes)


def test_the_tables_hold_every_model():
    assert {row[0] for row in FULL} == set(zx.list_models()) - TEXTS
    for name in zx.list_models():
        function = registry._MODELS[name]
        assert getattr(zx, function.__name__) is function
        assert function.__name__ in zx.__all__


def test_functions_are_documented():
    for name in zx.list_models():
        function = registry._MODELS[name]
        parameters = inspect.signature(function).parameters
        lines = inspect.getdoc(function).splitlines()
        assert lines[0].endswith(".")
        assert all(len(line) <= 88 or "http" in line for line in lines)
        for argument, parameter in parameters.items():
            assert parameter.kind is parameter.KEYWORD_ONLY
            assert any(line.startswith(f"    {argument}: ") for line in lines)
        assert doctest.DocTestParser().get_examples(function.__doc__)


def test_list_models():
    names = zx.list_models()
    assert len(names) == 36 and names == sorted(names)
    assert zx.list_models("melius*") == zx.list_models("Melius*")
    assert zx.list_models("melius*") == [
        name for name in names if name.startswith("melius")
    ]
    assert zx.list_models("bnext[_]*") == [
        "bnext_large",
        "bnext_middle",
        "bnext_small",
        "bnext_tiny",
    ]
    assert zx.list_models("*20") == ["birealnet20"]
    # The whole name is matched.
    assert zx.list_models("melius") == zx.list_models("") == []


def test_names():
    assert zx.create_model("TinyResidualBNN").name == "tiny_residual_bnn"
    with pytest.raises(ValueError, match=r"No model 'meliusnet23'\. Nearest: melius"):
        zx.create_model("meliusnet23")
    with pytest.raises(TypeError, match="BiRealNet20 has no argument depth; it takes"):
        zx.BiRealNet20(depth=3)
    with pytest.raises(TypeError, match="AudioMLP has no argument pad_values; it"):
        zx.AudioMLP(pad_values=1.0)


def test_is_a_component_of_zookeeper():
    @component
    class Experiment:
        model: tf.keras.Model = ComponentField(
            zx.BiRealNet20.factory, latent_weights=False
        )

    experiment = Experiment()
    configure(experiment, {"model.blocks": (1, 1, 1), "model.num_classes": 5})
    assert isinstance(experiment.model, tf.keras.Model)
    assert experiment.model.output_shape == (None, 5)
    assert len(binary_layers(experiment.model)) == 3


def test_magnitude_independent_kernels_start_at_zero_with_random_signs():
    model = narrow("birealnet20", latent_weights=True, magnitude_independent=True)
    for layer in binary_layers(model):
        values = layer.kernel.numpy()
        assert 0 < np.abs(values).max() < 1e-20
        assert abs(np.sign(values).mean()) < 0.1
        assert layer.kernel_constraint is None
        assert layer.kernel_quantizer.get_config()["clip_value"] is None
        assert set(np.unique(layer.kernel_quantizer(tf.constant(values)))) == {
            -1.0,
            1.0,
        }


def test_hard_tanh_and_real_shortcuts():
    model = narrow("birealnet20", activation="hardtanh", shortcut="conv")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("HardTanh") == 1 + 4 and kinds.count("PadShortcut") == 0
    assert kinds.count("AveragePooling2D") == 2 + 1  # The last one is the top's.


def test_options_reach_the_layers():
    model = narrow(
        "meliusnet22",
        latent_weights=True,
        pad_values=1.0,
        clip_value=0.7,
        batch_norm_momentum=0.5,
        batch_norm_epsilon=0.1,
    )
    for layer in binary_layers(model):
        assert layer.pad_values == 1
        assert layer.kernel_constraint.clip_value == 0.7
        assert layer.input_quantizer.clip_value == 0.7
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.5, 0.1)


@pytest.mark.parametrize(
    "function, sizes, kernels",
    [
        (
            zx.TinyResidualBNN,
            {"filters": [4, 8], "convolutions_per_stage": 1},
            [(3, 3, 4, 4), (3, 3, 4, 8)],
        ),
        (
            zx.ResNetE18,
            {"filters": [16, 32], "blocks": [1, 2]},
            [(3, 3, 16, 16), (3, 3, 16, 32), (3, 3, 32, 32)],
        ),
        (
            zx.MeliusNet22,
            {"stem_filters": 16, "growth": 4, "blocks": [1, 1], "transitions": [8]},
            [(3, 3, 16, 4), (3, 3, 20, 4), (3, 3, 8, 4), (3, 3, 12, 4)],
        ),
        (zx.ReActNetA, {"filters": [4, 4]}, [(3, 3, 4, 4), (1, 1, 4, 4)]),
        (
            zx.MeliusNet22,
            {
                "stem_filters": 16,
                "growth": 4,
                "blocks": [1, 1],
                "transitions": [8],
                "improvement": "residual",
            },
            [(3, 3, 16, 4), (3, 3, 20, 20), (3, 3, 8, 4), (3, 3, 12, 12)],
        ),
    ],
)
def test_widths_and_depths_are_arguments(function, sizes, kernels):
    model = function(input_shape=(32, 32, 3), num_classes=3, **sizes)
    found = [tuple(layer.kernel.shape) for layer in binary_layers(model)]
    assert found == kernels


def test_the_naive_alternative_adds_to_all_channels():
    """Figure 5 (a) of paper 002."""
    model = narrow("meliusnet22", improvement="residual")
    make_trained_looking(model)
    names = ("dense_concat", "improve_binconv", "improve_add")
    layers = [model.get_layer(f"section_1_block_0_{name}").output for name in names]
    before, improvement, after = tf.keras.Model(model.input, layers)(images())
    assert improvement.shape == before.shape
    np.testing.assert_array_equal(after, before + improvement)
    # Its operations beside those of the dense block, which makes 32 of 64 channels.
    macs = {layer.name: layer.macs for layer in zx.count_ops(model).layers}
    dense, residual = (
        macs[f"section_1_block_0_{kind}_binconv"] for kind in ("dense", "improve")
    )
    assert residual / dense == (64 / 32) * (64 / 32)


def test_the_order_of_a_transition():
    kinds = {
        order: [
            type(model.get_layer(name)).__name__
            for name in (layer.name for layer in model.layers)
            if name.startswith("section_0_transition")
        ]
        for order in ("pool_first", "conv_first")
        for model in [narrow("binary_densenet28", transition_order=order)]
    }
    assert kinds == {
        "pool_first": ["BatchNormalization", "MaxPooling2D", "Activation", "Conv2D"],
        "conv_first": [
            "BatchNormalization", "Activation", "Conv2D", "AveragePooling2D"
        ],
    }  # fmt: skip
    ops = [
        zx.count_ops(narrow("binary_densenet28", transition_order=order)).flops
        for order in kinds
    ]
    # The convolutions of the transitions before pooling: four times the operations.
    convs = sum(size**2 * 64 * 32 for size in (4, 2, 1))
    assert ops[1] - ops[0] == 3 * convs


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("birealnet20", {"num_classes": 0}, "num_classes=0 must be at least 1"),
        ("birealnet20", {"pad_values": 0.5}, "pad_values=0.5 must be -1, 0 or 1"),
        ("birealnet20", {"clip_value": 0.0}, r"clip_value=0.0 must be above 0"),
        ("birealnet20", {"batch_norm_momentum": 1.0}, r"momentum=1.0 must be in \[0"),
        ("birealnet20", {"batch_norm_epsilon": 0.0}, "epsilon=0.0 must be above 0"),
        ("birealnet20", {"shortcut": "none"}, "shortcut='none' must be 'conv' or"),
        ("birealnet20", {"activation": "relu"}, "activation='relu' must be None or"),
        ("birealnet20", {"stem": "big"}, "stem='big' must be 'grouped', 'conv7x7' or"),
        ("reactnet_a", {"stem": "grouped"}, "stem='grouped' must be 'conv3x3' or"),
        ("birealnet20", {"input_shape": (3, 32, 3)}, r"input_shape: \(3, 32, 3\) must"),
        (
            "meliusnet22",
            {"input_shape": (31, 32, 3)},
            "height and width of at least 32",
        ),
        ("meliusnet22", {"input_shape": (32, 32, None)}, "at least 1 channel"),
        ("bnext18", {"input_shape": (16,)}, r"\(16,\) must be .*audio_mlp takes"),
        ("birealnet20", {"input_shape": (256, 16)}, "birealnet20 takes images"),
        ("birealnet20", {"weights": "imagenet"}, "No ImageNet weights are published"),
        ("birealnet20", {"weights": "nowhere.h5"}, "weights='nowhere.h5' must be None"),
        ("meliusnet22", {"blocks": (1, 1)}, "must be 4 numbers of at least 1"),
        ("meliusnet22", {"blocks": (1, 1, 1, 0)}, "must be 4 numbers of at least 1"),
        (
            "meliusnet22",
            {"stem_filters": 40},
            "stem_filters=40 must be a multiple of 16",
        ),
        (
            "meliusnet_a",
            {"transitions": (30, 32, 32)},
            "multiples of transition_groups",
        ),
        ("meliusnet_a", {"growth": 5}, "a divisor of the 37 channels"),
        ("meliusnet22", {"weights": "imagenet"}, "num_classes=7 must be 1000 for"),
        (
            "meliusnet22",
            {"weights": "imagenet", "num_classes": 1000, "stem": "cifar"},
            "stem='cifar' must be 'grouped' for",
        ),
        (
            "birealnet18",
            {"weights": "imagenet", "num_classes": 1000, "latent_weights": False},
            "latent_weights=False must be True, and",
        ),
        ("meliusnet22", {"improvement": "x"}, "'x' must be 'new_channels' or 'resid"),
        ("meliusnet22", {"transition_order": "x"}, "'x' must be 'pool_first' or 'conv"),
        *(
            (
                "meliusnet22",
                {"weights": "imagenet", "num_classes": 1000, **option},
                "for weights='imagenet'",
            )
            for option in (
                {"improvement": "residual"},
                {"transition_order": "conv_first"},
            )
        ),
        ("resnet_e18", {"filters": (8, 16)}, r"^filters=\(8, 16\) must be .* 16, for"),
        ("resnet_e18", {"filters": ()}, r"filters=\(\) must be numbers of at least 1"),
        (
            "resnet_e18",
            {"blocks": (1, 1), "filters": (16,)},
            r"blocks=\(1, 1\) must be 1 number of at least 1, one for each of",
        ),
        ("resnet_e18", {"filters": (16, 32)}, "must be 2 numbers of at least 1"),
        ("reactnet_a", {"filters": (16, 48)}, "equal to the one before it or twice"),
        ("reactnet_b", {"filters": (6, 12)}, "real_groups=4 must be None or a divisor"),
        ("audio_mlp", {"units": 0}, "units=0 must be at least 1"),
        ("audio_mlp", {"pad_values": 0.0}, "pad_values=0.0 must be 1: there is no"),
        ("audio_mlp", {"input_shape": (None,)}, r"\(None,\) must be \(features,\)"),
        ("audio_mlp", {"input_shape": (0, 3)}, r"\(0, 3\) must be \(features,\)"),
        ("audio_mlp", {"weights": "imagenet"}, "No ImageNet weights are published"),
    ],
)
def test_bad_input_is_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        narrow(name, **arguments)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: zx.layers.ChannelShuffle(0), "groups=0 must be an integer of at"),
        (lambda: zx.layers.ChannelShuffle(3)(images()[..., :2]), "must divide 2 chan"),
        (
            lambda: zx.layers.PadShortcut(2)(images()),
            "filters=2 must be at least the 3",
        ),
        (lambda: zx.initializers.BernoulliSign(magnitude=0), "magnitude=0 must be ab"),
    ],
)
def test_bad_input_of_layers_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_weights_of_a_file(tmp_path):
    latent, binary = (str(tmp_path / f"{kind}.h5") for kind in ("latent", "binary"))
    model = narrow("birealnet20")
    model.save_weights(binary)
    narrow("birealnet20", latent_weights=True).save_weights(latent)
    copy = narrow("birealnet20", weights=binary)
    np.testing.assert_array_equal(copy(images()), model(images()))
    with pytest.raises(ValueError, match=r"needs kernel in {-1, \+1}, but stage_"):
        narrow("birealnet20", weights=latent)
    with pytest.raises(ValueError, match="a file of weights of reactnet_a with these"):
        narrow("reactnet_a", weights=binary)
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(ValueError, match="must be a file of weights of birealnet20"):
        narrow("birealnet20", weights=str(tmp_path / "text.h5"))


def check_larq_zoo_weights(monkeypatch, tmp_path, function, theirs, **fields):
    """Ours with weights as larq-zoo publishes them does what larq-zoo's does."""
    options = {"input_shape": (64, 64, 3), "num_classes": 1000}
    options["include_top"] = fields.pop("include_top", True)
    published = theirs(weights=None, **options).build()
    make_trained_looking(published)
    published.save_weights(tmp_path / "weights.h5")
    asked = []

    def download(**arguments):
        asked.append(arguments["file"])
        return str(tmp_path / "weights.h5")

    monkeypatch.setattr(larq_zoo_utils, "download_pretrained_model", download)
    ours = function.factory(weights="imagenet", **options, **fields).build()
    assert ["notop" in file for file in asked] == [not options["include_top"]]
    pixels = images(shape=(64, 64, 3))
    expected = published(pixels).numpy()
    np.testing.assert_allclose(ours(pixels), expected, rtol=1e-3, atol=1e-5)
    assert len(np.unique(expected, axis=0)) == len(pixels)


@pytest.mark.parametrize(
    "failure",
    [
        Exception("URL fetch failure on https://github.com/a.h5: None -- no route"),
        TimeoutError("no route"),
        ValueError("Incomplete or corrupted file detected: no route"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_failed_download_of_weights_is_an_error_of_one_line(monkeypatch, failure):
    def download(**arguments):
        raise failure

    theirs = larq_zoo_meliusnet.MeliusNet22Factory
    monkeypatch.setattr(theirs, "num_blocks", (1, 1, 1, 1))
    monkeypatch.setattr(larq_zoo_utils, "download_pretrained_model", download)
    with pytest.raises(
        OSError, match=r"(?i)meliusnet22.*no route.*weights=None"
    ) as caught:
        zx.MeliusNet22.factory(blocks=(1, 1, 1, 1), weights="imagenet").build()
    assert "\n" not in str(caught.value)
    assert "larq/zoo/releases" in str(caught.value)


@pytest.mark.parametrize(
    "include_top, latent",
    [(True, True), pytest.param(False, False, marks=pytest.mark.slow)],
)
def test_larq_zoo_weights(monkeypatch, tmp_path, include_top, latent):
    blocks = (1, 1, 1, 1)
    theirs = larq_zoo_meliusnet.MeliusNet22Factory
    monkeypatch.setattr(theirs, "num_blocks", blocks)
    fields = {"include_top": include_top, "latent_weights": latent, "blocks": blocks}
    check_larq_zoo_weights(monkeypatch, tmp_path, zx.MeliusNet22, theirs, **fields)


@pytest.mark.slow
@pytest.mark.parametrize(
    "function, fields",
    [
        (zx.MeliusNet22, {}),
        (zx.BiRealNet18, {}),
        (zx.BinaryDenseNet28, {"stem": "conv7x7"}),
        (zx.BinaryDenseNet28, {"stem": "conv7x7", "latent_weights": False}),
        (zx.BinaryDenseNet37, {"stem": "conv7x7", "include_top": False}),
    ],
)
def test_larq_zoo_weights_of_full_networks(monkeypatch, tmp_path, function, fields):
    theirs = function.architecture["larq_zoo_factory"]
    check_larq_zoo_weights(monkeypatch, tmp_path, function, theirs, **fields)


@pytest.fixture(scope="module")
def run_experiment():
    """Runs the example with arguments of its command line, returns what it saved."""
    path = pathlib.Path(__file__).parents[2] / "examples" / "zookeeper_experiment.py"
    # Once: zookeeper takes one task of each name.
    runpy.run_path(str(path))

    def run(folder, *arguments):
        arguments = [*arguments, "model.blocks=(1,)", "model.filters=[16]"]
        command = ["TrainNarrowBiRealNet", *arguments, f"output_dir={folder}"]
        cli.main(command, standalone_mode=False)
        return tf.keras.models.load_model(folder / "birealnet20.h5")

    return run


@pytest.mark.slow
def test_the_experiment_of_the_example(run_experiment, tmp_path, capfd):
    model = run_experiment(tmp_path, "epochs=1", "batch_size=100")
    (layer,) = binary_layers(model)
    assert layer.filters == 16 and model.output_shape == (None, 10)
    assert set(np.unique(layer.kernel)) == {-1, 1}
    assert isinstance(model.optimizer, CaseOptimizer)
    assert model.optimizer.iterations == 60
    (accuracy,) = re.findall(r"val_accuracy: ([.\d]+)", capfd.readouterr().out)
    assert float(accuracy) > 0.2


@pytest.mark.slow
def test_the_experiment_resumes(run_experiment, tmp_path, capfd):
    models = [
        run_experiment(tmp_path, f"epochs={epochs}", "batch_size=1000")
        for epochs in (1, 2)
    ]
    assert "Loaded model from epoch 1." in capfd.readouterr().out
    # A second run from the start would count six again.
    assert [model.optimizer.iterations for model in models] == [6, 12]
    first, second = (binary_layers(model)[0].kernel.numpy() for model in models)
    assert 0 < (first != second).mean() < 0.4


# Channels of the last feature map, as the papers' tables and authors' code have them.
FEATURES = {
    "meliusnet22": 512,
    "meliusnet29": 640,
    "meliusnet42": 1056,
    "meliusnet59": 1312,
    "meliusnet_a": 672,
    "meliusnet_b": 704,
    "meliusnet_c": 672,
    "resnet_e18": 512,
    "resnet_e34": 512,
    "binary_densenet28": 576,
    "binary_densenet37": 640,
    "birealnet18": 512,
    "birealnet34": 512,
    "birealnet20": 64,
    "reactnet_a": 1024,
    "reactnet_b": 1024,
    "reactnet_c": 1024,
    "reactnet_bireal18": 512,
    "reactnet_bireal34": 512,
    "bnext18": 512,
    "bnext_tiny": 1024,
    "bnext_small": 1536,
    "bnext_middle": 1536,
    "bnext_large": 2048,
    "pokebnn_050": 1024,
    "pokebnn_075": 1536,
    "pokebnn_100": 2048,
    "pokebnn_125": 2560,
    "pokebnn_140": 2864,
    "pokebnn_200": 4096,
    "tiny_residual_bnn": 128,
}


@pytest.mark.parametrize("channels", [None, 1, 4])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "birealnet20" else pytest.mark.slow)
        for name in FEATURES
    ],
)
def test_full_networks_without_top_take_any_image(name, channels):
    """What larq-zoo asks of its own networks."""
    shape = None if channels is None else (None, None, channels)
    model = zx.create_model(name, include_top=False, weights=None, input_shape=shape)
    assert model.output_shape[-1] == FEATURES[name]
    if channels is not None:
        assert model.output_shape[1:3] == (None, None)
        assert model(images(1, (64, 96, channels))).shape[-1] == FEATURES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*zx.list_models()} - TEXTS))
def test_full_networks_take_a_keras_tensor(name):
    """Likewise; and the top comes last."""
    factory = registry._MODELS[name].factory()
    tensor = tf.keras.Input(factory.default_input_shape)
    model = zx.create_model(name, weights=None, input_tensor=tensor)
    assert model.input is tensor
    assert model.output_shape == (None, factory.num_classes)
    headless = zx.create_model(name, weights=None, include_top=False)
    shapes = [weight.shape for weight in model.weights]
    count = len(headless.weights)
    assert [weight.shape for weight in headless.weights] == shapes[:count]
    names = [layer.name for layer in model.layers[1:]]
    body = [layer.name for layer in headless.layers[1:]]
    assert names[: len(body)] == body
    assert all(name.startswith("top") for name in names[len(body) :])
    lines = []
    lq.models.summary(model, print_fn=lines.append)
    assert len(lines) == 2 and lines[1].startswith(f"+{name} summary")


def test_the_features_are_those_of_every_network_for_images():
    assert FEATURES.keys() | SHAPES.keys() == set(zx.list_models()) - TEXTS


def test_larq_summarizes_them(case):
    _, model = case
    lines = []
    lq.models.summary(model, print_fn=lines.append)
    text = "\n".join(map(str, lines))
    for layer in binary_layers(model):
        assert layer.name[:20] in text


@pytest.fixture
def policy(request):
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    tf.keras.mixed_precision.set_global_policy(before)


@pytest.mark.parametrize(
    "policy, name",
    [
        pytest.param(
            policy,
            name,
            marks=[]
            if (policy, name) == ("mixed_float16", "audio_mlp")
            else pytest.mark.slow,
        )
        for policy in ("mixed_float16", "mixed_bfloat16")
        for name in NARROW
    ],
    indirect=["policy"],
)
@pytest.mark.parametrize("latent", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_mixed_precision(policy, name, latent):
    tf.keras.utils.set_random_seed(0)
    model = narrow(name, latent_weights=latent)
    adam = tf.keras.optimizers.Adam(0.01)
    if not latent:
        adam = CaseOptimizer((is_binary_variable, Diode()), default_optimizer=adam)
    model.compile(adam, "sparse_categorical_crossentropy")
    kernel = binary_layers(model)[0].kernel
    assert kernel.dtype == tf.float32
    start = kernel.numpy()
    # Keras skips steps until its scale of the loss fits into 16 bits.
    data = images_for(model, 8), np.arange(8) % 7
    loss = model.fit(*data, epochs=10, verbose=0).history["loss"]
    assert np.isfinite(loss).all() and loss[-1] != loss[0]
    if not latent:
        assert (kernel.numpy() != start).any() and set(np.unique(kernel)) == {-1, 1}
    output = model(images_for(model))
    assert output.dtype == tf.float32
    # Its convolutions do compute in 16 bits.
    first = next(layer for layer in model.layers if hasattr(layer, "kernel"))
    assert first.compute_dtype == policy.removeprefix("mixed_")
