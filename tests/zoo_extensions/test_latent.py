"""to_latent_free: the same outputs from binary kernels, for layers, graphs, models."""

import itertools
import re
import warnings

import larq as lq
import larq_zoo as lqz
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.optimizers import CaseOptimizer, Diode, is_binary_variable
from zoo_extensions import registry

layers = tf.keras.layers


@pytest.fixture
def float64():
    tf.keras.backend.set_floatx("float64")
    yield
    tf.keras.backend.set_floatx("float32")


# --- One layer -----------------------------------------------------------------------


def trained_looking(model):
    """Gives batch normalizations and biases, also those of models in it, values."""
    generator = np.random.default_rng(1)
    for part in model.submodules:
        if isinstance(part, layers.BatchNormalization):
            for weight in part.weights:
                weight.assign(generator.uniform(0.5, 2, weight.shape))
            part.moving_mean.assign(generator.normal(size=part.moving_mean.shape))
        elif getattr(part, "bias", None) is not None:
            part.bias.assign(generator.normal(size=part.bias.shape))
    return model


def inputs_of(model, samples=4):
    generator = np.random.default_rng(0)
    return tf.nest.map_structure(
        lambda tensor: tf.constant(
            generator.normal(size=(samples, *(size or 8 for size in tensor.shape[1:]))),
            tensor.dtype,
        ),
        model.input,
    )


def check_equal(model, free, exact=False):
    given = inputs_of(model)
    before, after = tf.nest.flatten(model(given)), tf.nest.flatten(free(given))
    assert len(before) == len(after)
    for old, new in zip(before, after):
        old, new = old.numpy(), new.numpy()
        assert old.std() > 0
        if exact:
            np.testing.assert_array_equal(new, old)
        else:
            tolerance = 1e-12 if old.dtype == np.float64 else 1e-5
            spread = np.abs(old).max()
            np.testing.assert_allclose(new, old, rtol=0, atol=tolerance * spread)


def kernels(model):
    """The kernels with quantizers, also in models in it, by name of the layer."""
    return {
        (part.name, kind): getattr(
            part, "kernel" if kind == "kernel" else f"{kind}_kernel"
        )
        for part in model.submodules
        for kind in ("kernel", "depthwise", "pointwise")
        if getattr(part, f"{kind}_quantizer", None) is not None
    }


def check_binary(free):
    assert kernels(free)
    for (name, _), kernel in kernels(free).items():
        assert set(np.unique(kernel.numpy())) <= {-1.0, 1.0}, name
        assert is_binary_variable(kernel), name


def convert(model, exact=False):
    """`to_latent_free`, with all that holds of every result."""
    before, config = model.get_weights(), str(model.get_config())
    free = zx.to_latent_free(model)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(new, old)
    assert str(model.get_config()) == config
    check_equal(model, free, exact)
    assert free.name == model.name and not free._is_compiled
    return free


def names(model):
    return [layer.name for layer in model.layers]


ONE_LAYER = [
    # layer, arguments, shape of the input
    ("QuantDense", {"units": 5}, (7,)),
    ("QuantDense", {"units": 5}, (3, 7)),
    ("QuantConv1D", {"filters": 5, "kernel_size": 3}, (8, 4)),
    ("QuantConv2D", {"filters": 6, "kernel_size": 3, "padding": "same"}, (6, 6, 4)),
    ("QuantConv2D", {"filters": 6, "kernel_size": 3, "groups": 2}, (6, 6, 4)),
    ("QuantConv3D", {"filters": 5, "kernel_size": 2}, (4, 4, 4, 3)),
    ("QuantDepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, (6, 6, 4)),
    ("QuantSeparableConv1D", {"filters": 5, "kernel_size": 3}, (8, 4)),
    ("QuantSeparableConv2D", {"filters": 5, "kernel_size": 3}, (6, 6, 4)),
    ("QuantConv2DTranspose", {"filters": 5, "kernel_size": 3}, (6, 6, 4)),
    ("QuantConv3DTranspose", {"filters": 5, "kernel_size": 2}, (4, 4, 4, 3)),
    ("QuantLocallyConnected1D", {"filters": 5, "kernel_size": 3}, (8, 4)),
    ("QuantLocallyConnected2D", {"filters": 5, "kernel_size": 3}, (6, 6, 4)),
    (
        "QuantLocallyConnected1D",
        {"filters": 5, "kernel_size": 3, "implementation": 3},
        (8, 4),
    ),
]
IDS = [f"{row[0]}-{index}" for index, row in enumerate(ONE_LAYER)]


@lq.utils.register_keras_custom_object
@lq.utils.set_precision(1)
def halves(kernel):
    """One scale for all weights, so that it has a meaning in every layout."""
    return 0.5 * lq.quantizers.ste_sign(kernel)


@lq.utils.register_keras_custom_object
def by_output(kernel):
    """A scale for each output of a transposed convolution, without a precision."""
    scale = tf.reduce_mean(tf.abs(kernel), [0, 1, 3], keepdims=True)
    return scale * lq.math.sign(kernel)


def by_output_of_dense(kernel):
    return tf.reduce_mean(tf.abs(kernel), 0) * lq.math.sign(kernel)


def one(kind, quantizer, shape, *after, **arguments):
    """A model of one layer with quantizers in all places it has."""
    cls = getattr(lq.layers, kind)
    for place in ("kernel", "depthwise", "pointwise"):
        if "Separable" in kind and place == "kernel":
            continue
        if ("Separable" in kind or "Depthwise" in kind) == (place != "kernel") and not (
            "Separable" not in kind and place == "pointwise"
        ):
            arguments[f"{place}_quantizer"] = quantizer
            arguments[f"{place}_constraint"] = "weight_clip"
    layer = cls(input_quantizer="ste_sign", name="binary", **arguments)
    return trained_looking(
        tf.keras.Sequential([tf.keras.Input(shape), layer, *after], name="model")
    )


@pytest.mark.parametrize("kind, arguments, shape", ONE_LAYER, ids=IDS)
def test_signs_are_exact_in_every_layer(kind, arguments, shape):
    model = one(kind, "ste_sign", shape, layers.BatchNormalization(), **arguments)
    free = convert(model, exact=True)
    check_binary(free)
    assert names(free) == names(model)
    layer, old = free.get_layer("binary"), model.get_layer("binary")
    for (_, place), kernel in kernels(free).items():
        assert isinstance(
            getattr(layer, f"{place}_initializer"), zx.initializers.BernoulliSign
        )
        assert getattr(layer, f"{place}_constraint") is None
        expected = np.where(kernels(model)["binary", place].numpy() < 0, -1, 1)
        np.testing.assert_array_equal(kernel.numpy(), expected)
    np.testing.assert_array_equal(layer.bias, old.bias)


@pytest.mark.parametrize(
    "kind, arguments, shape, after",
    [(*row, "norm" if index % 2 else "nothing") for index, row in enumerate(ONE_LAYER)],
    ids=IDS,
)
@pytest.mark.slow
def test_scales_in_every_layer(kind, arguments, shape, after, float64):
    last = [layers.BatchNormalization()] if after == "norm" else []
    # Locally connected layers have a bias for each position.
    arguments = {"use_bias": "Locally" not in kind, **arguments}
    model = one(kind, halves, shape, *last, **arguments)
    free = convert(model)
    check_binary(free)
    added = ["binary_scale"] if after == "nothing" else []
    assert names(free) == [names(model)[0], *added, *names(model)[1:]]


PER_CHANNEL = [
    row
    for row in ONE_LAYER
    if not any(word in row[0] for word in ("Separable", "Transpose", "Locally"))
]


@pytest.mark.parametrize("after", ["norm", "nothing"])
@pytest.mark.parametrize(
    "kind, arguments, shape",
    [
        *((*row[:2], row[2]) for row in PER_CHANNEL),
        ("QuantConv2DTranspose", {"filters": 5, "kernel_size": 3}, (6, 6, 4)),
    ],
)
@pytest.mark.slow
def test_a_scale_for_each_channel(kind, arguments, shape, after, float64):
    last = [layers.BatchNormalization()] if after == "norm" else []
    quantizer = by_output if "Transpose" in kind else "magnitude_aware_sign"
    model = one(kind, quantizer, shape, *last, **arguments)
    if kind != "QuantDepthwiseConv2D":
        # The last of its channels has no weight but zeros.
        (kernel,) = kernels(model).values()
        axis = -2 if "Transpose" in kind else -1
        zeros = np.moveaxis(kernel.numpy(), axis, -1)
        zeros[..., -1] = 0.0
        kernel.assign(np.moveaxis(zeros, -1, axis))
    free = convert(model)
    check_binary(free)
    assert ("binary_scale" in names(free)) == (after == "nothing")


def test_scales_in_float32_and_of_channels_that_are_nearly_zero():
    for norm in ([], [layers.BatchNormalization()]):
        model = one("QuantDense", "magnitude_aware_sign", (64,), *norm, units=6)
        kernel = model.layers[0].kernel
        sizes = np.array([1.0, 0.0, 1e-10, 1e-20, 1e-30, 1e-37])
        kernel.assign(kernel.numpy() * sizes.astype(np.float32))
        free = convert(model)
        assert all(np.isfinite(weight).all() for weight in free.get_weights())
        check_binary(free)


def test_statistics_of_nearly_zero_sums():
    """As a trained network with tiny weights has them, where v / c^2 is usual."""
    norm = layers.BatchNormalization(epsilon=1e-3)
    model = one(
        "QuantDense", "magnitude_aware_sign", (64,), norm, units=4, use_bias=False
    )
    kernel = model.layers[0].kernel
    kernel.assign(kernel * 1e-12)
    sums = model.layers[0](inputs_of(model, 256)).numpy()
    norm.moving_mean.assign(sums.mean(0))
    norm.moving_variance.assign(sums.var(0))
    free = convert(model)
    sums = free.layers[0](inputs_of(model, 256)).numpy()
    mean, variance = free.layers[1].get_weights()[2:]
    np.testing.assert_allclose(mean, sums.mean(0), rtol=1e-3)
    np.testing.assert_allclose(variance, sums.var(0), rtol=1e-3)


@pytest.mark.parametrize(
    "quantizer, activation, use_bias, norm",
    [
        *itertools.product(
            ["magnitude_aware_sign"],
            [None, "relu", "tanh", lq.quantizers.SteSign],
            [True],
            [True, False],
        ),
        ("magnitude_aware_sign", None, False, True),
        ("magnitude_aware_sign", "tanh", False, False),
        ("ste_sign", "tanh", True, True),
    ],
)
@pytest.mark.slow
def test_bias_and_activation(quantizer, activation, use_bias, norm, float64):
    if activation is lq.quantizers.SteSign:
        activation = activation(0.5)
    model = one(
        "QuantDense",
        quantizer,
        (64,),
        *([layers.BatchNormalization()] if norm else []),
        units=6,
        use_bias=use_bias,
        activation=activation,
    )
    free = convert(model, exact=quantizer == "ste_sign")
    check_binary(free)
    inserted = quantizer != "ste_sign" and not (norm and activation is None)
    assert ("binary_scale" in names(free)) == inserted
    if inserted:
        scale = free.get_layer("binary_scale")
        assert not free.layers[0].use_bias and scale.use_bias == use_bias


def test_sign_of_zero_is_what_the_quantizer_says():
    for quantizer, expected in (
        ("ste_sign", 1.0),
        (lq.quantizers.DoReFa(1, mode="weights"), -1.0),
    ):
        model = one("QuantDense", quantizer, (3,), units=2)
        model.layers[0].kernel.assign([[-1, 1], [-0.0, 0.0], [0.5, -0.5]])
        free = convert(model, exact=True)
        np.testing.assert_array_equal(
            free.layers[0].kernel, [[-1, 1], [expected] * 2, [1, -1]]
        )


@pytest.mark.parametrize("quantizer", ["approx_sign", "swish_sign", None])
def test_other_sign_quantizers(quantizer):
    quantizer = quantizer or lq.quantizers.SteSign(clip_value=1.25)
    check_binary(convert(one("QuantDense", quantizer, (9,), units=4), exact=True))


def test_a_normalization_without_a_factor():
    norm = layers.BatchNormalization(scale=False, center=False)
    model = one("QuantDense", "magnitude_aware_sign", (64,), norm, units=6)
    free = convert(model)
    assert names(free) == names(model)
    # No variance makes a constant of a channel that has sums: then there is a scale.
    kernel = model.layers[0].kernel
    kernel.assign(kernel * np.array([0, 1, 1, 1, 1, 1], np.float32))
    free = convert(model)
    assert names(free) == ["binary", "binary_scale", norm.name]
    np.testing.assert_array_equal(free.layers[2].moving_mean, norm.moving_mean)


@pytest.mark.parametrize("axis", [1, -1])
def test_a_normalization_of_another_axis(axis):
    model = one(
        "QuantDense",
        "magnitude_aware_sign",
        (3, 7),
        layers.BatchNormalization(axis=axis),
        units=3,
    )
    assert ("binary_scale" in names(convert(model))) == (axis == 1)


def test_the_flip_metric_of_larq_is_unchanged():
    with lq.context.metrics_scope(["flip_ratio"]):
        model = one("QuantDense", "magnitude_aware_sign", (9,), units=4)
    metric = model.layers[0].kernel_quantizer.flip_ratio
    metric.update_state(np.ones((9, 4)))
    before = metric.get_weights()
    zx.to_latent_free(model)
    for old, new in zip(before, metric.get_weights()):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_table_is_quantized_as_it_is_stored(policy):
    """16 bits would move weights that are near the mean to its other side."""
    quantizer = zx.elastic.CenteredSign(by_row=True)
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        ids = tf.keras.Input((2,), dtype=tf.int32)
        table = zx.elastic.BinaryEmbedding(300, 64, quantizer, name="table")
        outputs = layers.Dense(2)(layers.Flatten()(table(ids)))
        model = tf.keras.Model(ids, outputs)
        table.embeddings.assign_add(tf.fill((300, 64), 0.05))
        free = zx.to_latent_free(model).get_layer("table")
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    expected = table.embeddings_quantizer(tf.convert_to_tensor(table.embeddings))
    signs = tf.convert_to_tensor(free.embeddings)
    np.testing.assert_array_equal(signs, np.sign(expected))
    np.testing.assert_allclose(free.row_scale * signs, expected, rtol=1e-6)


def test_mixed_precision():
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = one(
            "QuantDense",
            "magnitude_aware_sign",
            (64,),
            layers.BatchNormalization(),
            units=6,
        )
        free = zx.to_latent_free(model)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    check_binary(free)
    given = inputs_of(model)
    assert free(given).dtype == tf.float16
    np.testing.assert_allclose(free(given), model(given), rtol=1e-2, atol=1e-2)


# --- Graphs --------------------------------------------------------------------------


def scaled(units=8, name="binary", **options):
    return lq.layers.QuantDense(
        units,
        input_quantizer="ste_sign",
        kernel_quantizer="magnitude_aware_sign",
        kernel_constraint="weight_clip",
        name=name,
        **options,
    )


def two_users(x):
    y = scaled()(x)
    return layers.Add()([layers.BatchNormalization()(y), y])


def is_an_output(x):
    y = scaled()(x)
    return {"sums": y, "rest": [layers.BatchNormalization()(y)]}


def pooled(x):
    return layers.BatchNormalization()(layers.Reshape((8,))(scaled()(x)))


def of_others_too(x):
    norm = layers.BatchNormalization()
    return layers.Add()([norm(scaled()(x)), norm(x)])


def as_in_training(x):
    return layers.BatchNormalization()(scaled()(x), training=True)


def called_twice(x):
    layer = scaled()
    first = layers.BatchNormalization()(layer(x))
    return layers.BatchNormalization()(layer(first))


def called_twice_once_without(x):
    layer = scaled()
    return layer(layers.BatchNormalization()(layer(x)))


def one_norm_for_both(x):
    layer, norm = scaled(), layers.BatchNormalization()
    return norm(layer(norm(layer(x))))


OFFSET = 0.25


def operations(x):
    y = layers.Lambda(lambda value: value + OFFSET)(scaled()(x))
    return tf.nn.relu(2.0 - y) * tf.reduce_mean(x, -1, keepdims=True) + y[:, :1]


def nested(x):
    inner = tf.keras.Sequential(
        [tf.keras.Input((8,)), scaled(name="a"), layers.BatchNormalization()],
        name="inner",
    )
    a = tf.keras.Input((8,))
    b = layers.PReLU()(scaled(name="b")(inner(a)))
    outer = tf.keras.Model(a, [b, scaled(name="c")(b)], name="outer")
    y, z = outer(x)
    y, z = outer(layers.Add()([y, z]))
    return layers.BatchNormalization()(layers.Add()([inner(y), z]))


def nested_once(x):
    a = tf.keras.Input((8,))
    y = layers.BatchNormalization()(scaled(name="a")(a))
    inner = tf.keras.Model(a, scaled(name="b")(y), name="inner")
    after = tf.keras.Sequential([scaled(name="c"), layers.BatchNormalization()])
    return after(inner(x))


GRAPHS = [
    (two_users, {"binary_scale"}),
    (is_an_output, {"binary_scale"}),
    (pooled, {"binary_scale"}),
    (of_others_too, {"binary_scale"}),
    (as_in_training, {"binary_scale"}),
    (called_twice, set()),
    (called_twice_once_without, {"binary_scale"}),
    (one_norm_for_both, set()),
    (nested_once, {"b_scale"}),
    (nested, {"b_scale", "c_scale"}),
]


def build(graph):
    tf.keras.utils.set_random_seed(0)
    x = tf.keras.Input((8,), name="start")
    return trained_looking(tf.keras.Model(x, graph(x), name="model"))


def scales(model):
    return {
        part.name
        for part in model.submodules
        if isinstance(part, zx.layers.ChannelScale)
    }


@pytest.mark.parametrize("graph, inserted", GRAPHS, ids=[g.__name__ for g, _ in GRAPHS])
def test_graphs(graph, inserted, float64):
    model = build(graph)
    free = convert(model)
    check_binary(free)
    assert scales(free) == inserted
    assert [name for name in names(free) if name not in inserted] == names(model)
    assert free.input_names == model.input_names
    tf.nest.assert_same_structure(free.output, model.output)
    # A model in it is one of the same kind, and one for all its calls.
    for old, new in zip(
        model.layers, (x for x in free.layers if x.name not in scales(free))
    ):
        assert type(new) is type(old)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("graph", [two_users, nested_once, called_twice])
def test_saves_and_loads(graph, suffix, tmp_path):
    free = zx.to_latent_free(build(graph))
    free.save(tmp_path / f"model.{suffix}")
    copy = tf.keras.models.load_model(tmp_path / f"model.{suffix}")
    check_equal(free, copy, exact=True)
    check_binary(copy)
    assert scales(copy) == scales(free)


def test_operations_without_layers():
    model = build(operations)
    assert scales(convert(model)) == {"binary_scale"}


def test_several_inputs_and_masks():
    a, b = tf.keras.Input((5,), name="a"), tf.keras.Input((5, 3), name="b")
    masked = layers.Masking()(b)
    x = layers.Concatenate()([scaled(4)(a), layers.GlobalAveragePooling1D()(masked)])
    model = tf.keras.Model({"left": a, "right": b}, x)
    free = convert(model)
    assert free.input.keys() == {"left", "right"}


def test_trainable_is_copied():
    model = build(nested)
    inner = model.get_layer("outer").get_layer("inner")
    model.trainable = False
    model.trainable = True
    inner.layers[1].trainable = False
    model.get_layer("outer").get_layer("b").trainable = False
    free = convert(model)
    copy = free.get_layer("outer")
    frozen = {
        part.name for part in model.submodules if not getattr(part, "trainable", 1)
    }
    frozen = {name for name in frozen if "sign" not in name}
    assert frozen == {"b", inner.layers[1].name}
    assert frozen | {"b_scale"} == {
        part.name
        for part in free.submodules
        if isinstance(part, layers.Layer)
        and not isinstance(part, lq.quantizers.Quantizer)
        and not part.trainable
    }
    model.trainable = False
    assert not zx.to_latent_free(model).trainable_weights
    assert copy.get_layer("b_scale").get_weights()[0].shape == (8,)


def test_a_scale_gets_an_unused_name():
    def graph(x):
        return layers.ReLU(name="binary_scale")(scaled()(x))

    assert names(convert(build(graph)))[1:] == [
        "binary",
        "binary_scale_1",
        "binary_scale",
    ]


class OwnModel(tf.keras.Model):
    """Made as `tf.keras.Model`, with a way of training of its own."""

    def train_step(self, data):
        return {"own": 1.0}


class Sized(tf.keras.Model):
    """Made in another way; what it computes is its graph."""

    def __init__(self, units):
        x = tf.keras.Input((4,))
        super().__init__(x, scaled(units)(x), name="sized")


def test_classes_of_models():
    x = tf.keras.Input((4,))
    assert type(convert(OwnModel(x, scaled()(x)))) is OwnModel
    assert not isinstance(convert(Sized(3)), Sized)


# --- What is skipped -----------------------------------------------------------------


class Temperature(lq.quantizers.Quantizer):
    """Clips w / T, which is a sign at last."""

    precision = 1

    def __init__(self, temperature, **kwargs):
        super().__init__(**kwargs)
        self.temperature = temperature

    def call(self, inputs):
        return tf.clip_by_value(inputs / self.temperature, -1.0, 1.0)


class OwnKernel(lq.layers_base.QuantizerBase, layers.Layer):
    """Its output is no multiple of its kernel."""

    kernel_constraint = None

    def build(self, shape):
        self.kernel = self.add_weight("kernel", (shape[-1],))
        super().build(shape)

    def call(self, inputs):
        return super(lq.layers_base.BaseLayer, self).call(inputs) + self.kernel


@pytest.mark.parametrize(
    "quantizer, reason",
    [
        ("ste_tern", r"SteTern has 2 bits"),
        (lq.quantizers.DoReFa(2, mode="weights"), r"DoReFa has 2 bits"),
        ("ste_heaviside", "SteHeaviside returns 0 and 1"),
        (
            Temperature(0.5),
            r"more than c and -c .*; call zx\.force_sign\(model\) first",
        ),
    ],
)
def test_other_quantizers_are_named(quantizer, reason):
    def graph(x):
        x = lq.layers.QuantDense(8, kernel_quantizer=quantizer, name="other")(x)
        return layers.BatchNormalization()(scaled()(x))

    with tf.keras.utils.custom_object_scope({"Temperature": Temperature}):
        model = build(graph)
        with pytest.warns(UserWarning, match=rf"stay latent: other \(.*{reason}"):
            free = convert(model)
    np.testing.assert_array_equal(free.layers[1].kernel, model.layers[1].kernel)
    only = tf.keras.Model(model.input, model.layers[1].output)
    with pytest.raises(ValueError, match=rf"No kernel of .*: other \(.*{reason}"):
        zx.to_latent_free(only)


def test_a_temperature_that_is_low_enough():
    model = one("QuantDense", Temperature(1e-6), (9,), units=4)
    check_binary(convert(model, exact=True))


@pytest.mark.parametrize(
    "layer, reason",
    [
        (
            layers.TimeDistributed(scaled(), name="each"),
            r"binary \(it is part of each, a TimeDistributed",
        ),
        (
            lq.layers.QuantLocallyConnected1D(8, 3, kernel_quantizer=halves),
            "its bias differs between positions",
        ),
        (scaled(activity_regularizer="l2"), "activity_regularizer would see values"),
        (scaled(bias_regularizer="l2"), "bias_regularizer would see values"),
        (scaled(bias_constraint="non_neg"), "bias_constraint would see values"),
        (
            lq.layers.QuantSeparableConv1D(
                8, 3, depthwise_quantizer="magnitude_aware_sign", depth_multiplier=2
            ),
            "channels have different scales, and the pointwise kernel adds them",
        ),
        (
            lq.layers.QuantConv1D(8, 3, kernel_quantizer=lambda kernel: kernel / 0.0),
            "<lambda> returns more than",
        ),
        (
            lq.layers.QuantDense(
                8, kernel_quantizer=by_output_of_dense, kernel_initializer="zeros"
            ),
            "all zero, which does not show whether by_output_of_dense is a sign",
        ),
        (OwnKernel(kernel_quantizer=halves), "a scale of the kernels of a OwnKernel"),
    ],
)
def test_other_layers_are_named(layer, reason):
    x = tf.keras.Input((5, 8))
    model = tf.keras.Model(x, layer(x))
    with pytest.raises(ValueError, match=reason):
        zx.to_latent_free(model)


class Subclassed(tf.keras.Model):
    def call(self, inputs):
        return inputs


def nothing(x):
    return layers.Dense(3)(x)


def free_already(x):
    return lq.layers.QuantDense(
        3, kernel_quantizer=lq.quantizers.NoOp(1), name="binary"
    )(x)


def own_quantizer(x):
    return lq.layers.QuantDense(
        8,
        input_quantizer=lambda value: lq.math.sign(value),
        kernel_quantizer="ste_sign",
        name="binary",
    )(x)


class Wrapped(tf.keras.Model):
    """Of whose graph nothing is known."""

    def __init__(self, quantizer):
        super().__init__(name="wrapped")
        options = {"kernel_initializer": "ones", "kernel_quantizer": quantizer}
        self.one = lq.layers.QuantDense(3, name="one", **options)
        self.two = lq.layers.QuantDense(3, name="two", **options)

    def call(self, inputs):
        return self.two(self.one(inputs))


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: Wrapped(lq.quantizers.NoOp(precision=1)),
            "latent-free already: the kernels of one in wrapped, two in wrapped have",
        ),
        (
            lambda: Wrapped("ste_sign"),
            r"can become binary: one \(it is part of wrapped, a Wrapped",
        ),
        (
            lambda: layers.TimeDistributed(
                lq.layers.QuantDense(
                    2, kernel_quantizer=lq.quantizers.NoOp(precision=1), name="each"
                ),
                name="times",
            ),
            "latent-free already: the kernels of each in times have",
        ),
    ],
)
def test_kernels_in_other_layers_are_named(make, message):
    image = tf.keras.Input((4, 3))
    model = tf.keras.Model(image, make()(image), name="outer")
    with pytest.raises(ValueError, match=message):
        zx.to_latent_free(model)


def with_a_loss(x):
    y = scaled()(x)
    model = tf.keras.Model(x, y, name="model")
    model.add_loss(tf.reduce_mean(y))
    return model


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: build(nothing), "model has no binary kernel"),
        (lambda: build(free_already), "model is latent-free already: .* binary have"),
        (lambda: build(own_quantizer), "binary .QuantDense. cannot be copied"),
        (lambda: Subclassed(name="own"), "own must be a functional .*: Subclassed"),
        (lambda: tf.keras.Sequential([scaled()], name="open"), "open must be a functi"),
        (lambda: with_a_loss(tf.keras.Input((4,))), "model holds .*add_loss"),
        (lambda: scaled(), "binary must be a functional"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        zx.to_latent_free(make())


# --- Networks ------------------------------------------------------------------------

_RESIDUAL = {"blocks": (1, 1), "filters": (16, 32)}
NARROW = [
    ("tiny_residual_bnn", {"input_shape": (12, 12, 1)}, True),
    ("birealnet20", {"blocks": (1, 1, 1), "filters": (16, 16, 32)}, False),
    ("reactnet_bireal18", {"blocks": (1, 1), "filters": (16, 32)}, False),
    (
        "meliusnet22",
        {
            "blocks": (1, 1),
            "transitions": (32,),
            "growth": 32,
            "stem_filters": 32,
        },
        True,
    ),
]


def narrow(name, **fields):
    fields = {"input_shape": (32, 32, 3), "num_classes": 7} | fields
    return registry._MODELS[name].factory(**fields).build()


def configuration(layer):
    """The configuration without the names that Keras counts on."""
    return re.sub(r"'name': '[a-z_0-9]*'", "", str(layer.get_config()))


@pytest.mark.parametrize(
    "name, fields, exact",
    [
        pytest.param(*row, id=row[0], marks=pytest.mark.slow if index % 2 else [])
        for index, row in enumerate(NARROW)
    ],
)
def test_our_networks_become_what_they_are_without_latent_weights(name, fields, exact):
    model = trained_looking(narrow(name, latent_weights=True, **fields))
    free = convert(model, exact)
    check_binary(free)
    built = narrow(name, latent_weights=False, **fields)
    assert names(free)[1:] == names(built)[1:]
    for ours, theirs in zip(free.layers[1:], built.layers[1:]):
        assert configuration(ours) == configuration(theirs), ours.name
    assert [w.shape for w in free.weights] == [w.shape for w in built.weights]
    assert zx.count_ops(free) == zx.count_ops(built)


def trains_with_diode(model):
    free = zx.to_latent_free(model)
    free.compile(
        CaseOptimizer(
            (Diode.is_binary_variable, Diode.for_steps(100, initial_inertia=0.5)),
            default_optimizer=tf.keras.optimizers.Adam(0.01),
        ),
        "sparse_categorical_crossentropy",
    )
    before = free.get_weights()
    generator = np.random.default_rng(0)
    given = generator.normal(size=(8, *model.input_shape[1:])).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        free.fit(given, np.arange(8) % 7, epochs=1, batch_size=8, verbose=0)
    check_binary(free)
    binary = {id(kernel) for kernel in kernels(free).values()}
    for weight, old, new in zip(free.weights, before, free.get_weights()):
        # One vote against an inertia of half of all votes turns nothing.
        assert (new == old).all() == (id(weight) in binary), weight.name


def test_diode_trains_them():
    trains_with_diode(build(lambda x: layers.Softmax()(called_twice(x))))


@pytest.mark.slow
def test_diode_trains_a_converted_network():
    fields = {"input_shape": (12, 12, 1)}
    trains_with_diode(trained_looking(narrow("tiny_residual_bnn", **fields)))


def test_counts_of_a_scale():
    model = build(lambda x: scaled(use_bias=False)(x))
    free = zx.to_latent_free(model)
    before, after = zx.count_ops(model), zx.count_ops(free)
    assert after.bops == before.bops and after.flops == before.flops
    assert after.uncounted == ()
    assert after.parameters == before.parameters + 8


@pytest.mark.slow
def test_converts():
    import converters

    x = tf.keras.Input((8, 8, 64))
    options = {
        "padding": "same",
        "pad_values": 1.0,
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "magnitude_aware_sign",
        "kernel_constraint": "weight_clip",
    }
    y = lq.layers.QuantConv2D(64, 3, use_bias=False, name="a", **options)(x)
    y = layers.BatchNormalization()(y)
    y = lq.layers.QuantConv2D(64, 3, name="b", activation="relu", **options)(y)
    y = lq.layers.QuantConv2D(64, 3, name="c", **options)(layers.Subtract()([y, x]))
    y = layers.Add()([y, layers.BatchNormalization()(y)])
    model = trained_looking(tf.keras.Model(x, layers.GlobalAveragePooling2D()(y)))
    free = convert(model)
    assert scales(free) == {"b_scale", "c_scale"}
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 64)).astype(np.float32)
    report = converters.convert(free, inputs=images).report
    assert len(report.audit.converted) == 3 and not report.audit.stayed_float
    assert report.verification.passed


LARQ_ZOO = [
    # module, name, layers that are inserted, whether all scales are 1
    ("literature", "BiRealNet", 0, False),
    ("literature", "BinaryAlexNet", 0, True),
    ("literature", "BinaryDenseNet28", 0, True),
    ("literature", "BinaryResNetE18", 0, True),
    ("literature", "DoReFaNet", 0, False),
    ("literature", "MeliusNet22", 0, True),
    ("literature", "RealToBinaryNet", 0, True),
    # Two of its convolutions are pooled before they are normalized.
    ("literature", "XNORNet", 2, False),
    ("sota", "QuickNet", 0, True),
]


@pytest.mark.slow
@pytest.mark.parametrize("module, name, inserted, exact", LARQ_ZOO)
def test_larq_zoo(module, name, inserted, exact):
    model = trained_looking(getattr(getattr(lqz, module), name)(weights=None))
    free = zx.to_latent_free(model)
    check_binary(free)
    assert len(scales(free)) == inserted
    # After a softmax all outputs may be equal.
    logits = (tf.keras.Model(m.input, m.layers[-1].input) for m in (model, free))
    check_equal(*logits, exact=exact)
