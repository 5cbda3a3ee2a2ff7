"""Elastic binarization against its formulas in NumPy, float64."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.optimizers import is_binary_variable
from zoo_extensions import elastic

SIGN, UNIT = elastic.ElasticSign, elastic.ElasticUnit


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def sign(x):
    return np.where(x < 0, -1.0, 1.0)


def elastic_in_numpy(quantizer, x, alpha, g):
    """Value, gradient of x and gradient of alpha, as section 3.2 of BiT has them."""
    a = max(alpha, 1e-5)
    if quantizer is SIGN:
        y, inside, slope = a * sign(x), np.abs(x / a) <= 1, sign(x)
    else:
        nearest = np.clip(np.round(x / a), 0, 1)
        inside = (x / a >= 0) & (x / a <= 1)
        y = a * nearest
        slope = np.where(inside, nearest - x / a, nearest)
    return y, g * inside, (g * slope).sum() / np.sqrt(x.size)


@pytest.mark.parametrize("alpha", [0.7, 1e-7, -2.0])
@pytest.mark.parametrize("quantizer", [SIGN, UNIT])
def test_values_and_gradients(quantizer, alpha):
    x, g = drawn(6, 5), drawn(6, 5, seed=1)
    x[0] = 0.69, 0.71, -0.69, -0.71, 0.0
    function = elastic.elastic_sign if quantizer is SIGN else elastic.elastic_unit
    inputs, scale = (tf.constant(values, tf.float32) for values in (x, alpha))
    with tf.GradientTape() as tape:
        tape.watch([inputs, scale])
        y = function(inputs, scale)
    dx, dalpha = tape.gradient(y, [inputs, scale], tf.constant(g, tf.float32))
    expected = elastic_in_numpy(quantizer, x, alpha, g)
    # x / alpha of the floor is large, and float32 rounds it.
    for ours, theirs in zip((y, dx, dalpha), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    # The mask is no constant.
    assert alpha < 0.1 or 0 < np.mean(expected[1] == 0) < 1


@pytest.mark.parametrize("quantizer, factor", [(SIGN, 2), (UNIT, 4)])
def test_the_first_batch_in_training_sets_the_scale(quantizer, factor):
    layer, first = quantizer(), np.abs(drawn(4, 3))
    assert np.unique(np.abs(layer(first.astype(np.float32)))).max() == 1
    assert float(layer.alpha) == 1 and float(layer.is_set) == 0
    step = tf.function(lambda x: layer(x, training=True))
    values = step(first.astype(np.float32))
    expected = factor * np.abs(first).mean()
    assert float(layer.alpha) == pytest.approx(expected, rel=1e-6)
    assert float(tf.reduce_max(values)) == pytest.approx(expected, rel=1e-6)
    step(9 * first.astype(np.float32))
    assert float(layer.alpha) == pytest.approx(expected, rel=1e-6)


def test_a_first_batch_of_zeros_leaves_the_least_scale():
    layer = SIGN()
    values = layer(tf.zeros((2, 2)), training=True)
    assert float(layer.alpha) == 0
    np.testing.assert_allclose(values, np.float32(1e-5))


@pytest.mark.parametrize("by_row", [False, True])
def test_latent_weights_are_signs_about_their_mean(by_row):
    w, g = drawn(5, 4) + 0.3, drawn(5, 4, seed=1)
    latent = tf.constant(w, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        quantized = elastic.CenteredSign(by_row)(latent)
    axis = 1 if by_row else None
    expected = np.abs(w).mean(axis=axis, keepdims=True) * sign(w - w.mean())
    np.testing.assert_allclose(quantized, expected, rtol=1e-6)
    assert (sign(w - w.mean()) != sign(w)).any()
    gradient = tape.gradient(quantized, latent, tf.constant(g, tf.float32))
    np.testing.assert_array_equal(gradient, np.float32(g))


KERNELS = {
    "real": lambda: None,
    "latent": elastic.CenteredSign,
    "binary": lambda: lq.quantizers.NoOp(precision=1),
}


@pytest.mark.parametrize("shape", [(2, 3, 6), (4, 6)])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("quantizer", [None, SIGN, UNIT])
def test_a_linear_layer_and_its_gradients(quantizer, kernel, shape):
    layer = elastic.ElasticLinear(
        5,
        quantizer and quantizer(),
        KERNELS[kernel](),
        kernel_initializer=zx.initializers.BernoulliSign(),
    )
    x, g = drawn(*shape), drawn(*shape[:-1], 5, seed=1)
    inputs = tf.constant(x, tf.float32)
    layer(inputs)
    w = drawn(6, 5, seed=2) if kernel != "binary" else sign(drawn(6, 5, seed=2))
    bias, shift, scale, alpha = drawn(5, seed=3), drawn(6, seed=4), 0.3, 0.9
    layer.kernel.assign(w[None, None])
    layer.bias.assign(bias)
    if quantizer is not None:
        layer.shift.assign(shift)
        layer.input_quantizer.alpha.assign(alpha)
    if kernel == "binary":
        layer.learned_scale.assign(scale)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = layer(inputs)
    gradients = dict(
        zip(
            [
                "x",
                *(weight.name.split("/", 1)[1] for weight in layer.trainable_weights),
            ],
            tape.gradient(
                y, [inputs, *layer.trainable_weights], tf.constant(g, tf.float32)
            ),
            strict=True,
        )
    )

    effective = {
        "real": w,
        "latent": np.abs(w).mean() * sign(w - w.mean()),
        "binary": scale * w,
    }[kernel]
    inner, expected = x, {}
    if quantizer is not None:
        inner = elastic_in_numpy(quantizer, x + shift, alpha, 0)[0]
    dinner = g @ effective.T
    expected["x"] = dinner
    if quantizer is not None:
        _, dx, dalpha = elastic_in_numpy(quantizer, x + shift, alpha, dinner)
        place = layer.input_quantizer.name
        expected |= {"x": dx, f"{place}/alpha:0": dalpha}
        expected["shift:0"] = dx.reshape(-1, 6).sum(0)
    outer = inner.reshape(-1, 6).T @ g.reshape(-1, 5)
    expected["bias:0"] = g.reshape(-1, 5).sum(0)
    expected["kernel:0"] = (scale if kernel == "binary" else 1) * outer[None, None]
    if kernel == "binary":
        expected["kernel_scale:0"] = (outer * w).sum()
    np.testing.assert_allclose(y, inner @ effective + bias, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], 1e-4, 1e-5, err_msg=name)
    assert layer.compute_output_shape(shape) == y.shape
    assert is_binary_variable(layer.kernel) is (kernel == "binary")


@pytest.mark.parametrize("rows", KERNELS)
def test_embeddings_and_their_gradients(rows):
    quantizer = elastic.CenteredSign(by_row=True) if rows == "latent" else None
    quantizer = KERNELS["binary"]() if rows == "binary" else quantizer
    layer = elastic.BinaryEmbedding(7, 4, quantizer)
    ids = np.array([[1, 3, 1], [6, 0, 3]])
    layer(ids)
    table, g = drawn(7, 4) + 0.2, drawn(2, 3, 4, seed=1)
    scale = np.abs(drawn(7, 1, seed=2))
    if rows == "binary":
        table = sign(table)
        layer.learned_scale.assign(scale)
    layer.embeddings.assign(table)
    with tf.GradientTape() as tape:
        y = layer(tf.constant(ids))
    gradients = tape.gradient(y, layer.trainable_weights, tf.constant(g, tf.float32))
    effective = {
        "real": table,
        "latent": np.abs(table).mean(1, keepdims=True) * sign(table - table.mean()),
        "binary": scale * table,
    }[rows]
    np.testing.assert_allclose(y, effective[ids], rtol=1e-6)
    factor = scale if rows == "binary" else np.ones((7, 1))
    dtable, dscale = np.zeros((7, 4)), np.zeros((7, 1))
    for row, gradient in zip(ids.ravel(), g.reshape(-1, 4)):
        dtable[row] += factor[row] * gradient
        dscale[row] += table[row] @ gradient
    for gradient, expected in zip(gradients, (dtable, dscale)):
        # Only the rows that were looked up: no gradient of the size of the table.
        assert isinstance(gradient, tf.IndexedSlices)
        assert gradient.values.shape[0] == ids.size
        dense = tf.convert_to_tensor(gradient)
        np.testing.assert_allclose(dense, expected, rtol=1e-5, atol=1e-6)
    assert is_binary_variable(layer.embeddings) is (rows == "binary")
    assert len(gradients) == (2 if rows == "binary" else 1)


def a_model(**arguments):
    inputs = tf.keras.Input((3, 6))
    x = elastic.ElasticLinear(4, SIGN(), elastic.CenteredSign(), **arguments)(inputs)
    return tf.keras.Model(inputs, elastic.ElasticLinear(1, UNIT())(x))


@pytest.mark.slow
def test_replicas_agree_on_the_first_scale():
    """The mean of what they say is what the whole batch says."""
    x = drawn(8, 3, 6).astype(np.float32)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = a_model()
        model.compile(tf.keras.optimizers.SGD(0.0), "mse")
    model.fit(x, np.zeros((8, 3, 1)), batch_size=8, epochs=2, verbose=0)
    quantizer = model.layers[1].input_quantizer
    assert float(tf.identity(quantizer.alpha)) == pytest.approx(
        2 * np.abs(x).mean(), rel=1e-6
    )
    assert float(tf.identity(quantizer.is_set)) == 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"run_eagerly": True},
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
    ],
)
def test_trains_however_keras_runs_it(options):
    model = a_model(activation="relu")
    model.compile(tf.keras.optimizers.Adam(0.01), "mse", **options)
    x = drawn(8, 3, 6).astype(np.float32)
    start = [weight.numpy() for weight in model.trainable_weights]
    losses = model.fit(x, x[..., :1], epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    for before, weight in zip(start, model.trainable_weights):
        assert (before != weight.numpy()).any(), weight.name


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_other_precisions(policy):
    layer = elastic.ElasticLinear(
        4, SIGN(dtype=policy), elastic.CenteredSign(), dtype=policy
    )
    x = drawn(2, 3, 6)
    y = layer(tf.constant(x, tf.as_dtype(layer.compute_dtype)), training=True)
    assert y.dtype == layer.compute_dtype
    alpha = layer.input_quantizer.alpha
    assert alpha.dtype == (tf.float64 if policy == "float64" else tf.float32)
    assert float(alpha) == pytest.approx(2 * np.abs(x).mean(), rel=1e-2)
    kernel = layer.kernel.numpy()[0, 0].astype(np.float64)
    effective = np.abs(kernel).mean() * sign(kernel - kernel.mean())
    expected = float(alpha) * sign(x) @ effective
    np.testing.assert_allclose(
        tf.cast(y, tf.float64), expected, atol=0.02 * np.abs(expected).max()
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_scale_of_a_large_kernel_learns_in_16_bits(policy):
    """Its gradient is a sum over the kernel, beyond the largest float16."""
    free = elastic.lq.quantizers.NoOp(precision=1)
    layer = elastic.ElasticLinear(
        512, kernel_quantizer=free, kernel_initializer="ones", dtype=policy
    )
    with tf.GradientTape() as tape:
        y = layer(tf.ones((1, 512)))
    (found,) = tape.gradient(y, [layer.kernel_scale])
    assert found.dtype == tf.float32 and float(found) == 512 * 512


def test_a_first_batch_that_overflows_sets_no_scale():
    quantizer = SIGN()
    quantizer(tf.constant([np.inf, 1.0]), training=True)
    assert float(quantizer.alpha) == 1 and float(quantizer.is_set) == 0
    quantizer(tf.constant([0.5, -0.5]), training=True)
    assert float(quantizer.alpha) == 1 and float(quantizer.is_set) == 1


def test_images_with_channels_first_change_nothing():
    tf.keras.backend.set_image_data_format("channels_first")
    try:
        assert elastic.ElasticLinear(2)(tf.ones((1, 5, 3))).shape == (1, 5, 2)
    finally:
        tf.keras.backend.set_image_data_format("channels_last")


def test_a_linear_layer_has_no_strides():
    with pytest.raises(TypeError, match="linear layer has no strides; leave it out"):
        elastic.ElasticLinear(4, strides=2)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: elastic.ElasticLinear(0), "units=0 must be an integer of at least 1"),
        (
            lambda: elastic.ElasticLinear(2)(tf.ones((1, 2, 3, 4))),
            r"takes inputs of \(batch, channels\) or .* \(1, 2, 3, 4\)",
        ),
        (
            lambda: elastic.BinaryEmbedding(9, 4, elastic.CenteredSign()),
            r"must be CenteredSign\(by_row=True\), NoOp\(precision=1\) or None. Rec",
        ),
        (
            lambda: elastic.BinaryEmbedding(9, 4, "ste_sign"),
            "Received: 'ste_sign'",
        ),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_larq_does_not_warn_of_starved_weights(caplog):
    elastic.ElasticLinear(2, kernel_quantizer=elastic.CenteredSign())
    assert not caplog.records
