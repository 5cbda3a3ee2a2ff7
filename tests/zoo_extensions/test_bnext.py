"""BNext: its blocks against their equations, and the temperature of its kernels."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from zoo_extensions.quantizers import temperature_sign


def weights_by_layer(model):
    return {
        layer.name: [weight.astype(np.float64) for weight in layer.get_weights()]
        for layer in model.layers
    }


class Reference:
    """The equations of a block in float64, on the weights of a model's layers."""

    def __init__(self, model, squeeze_excite):
        self.weights = weights_by_layer(model)
        self.squeeze_excite = squeeze_excite
        self.used = set()

    def of(self, name):
        self.used.add(name)
        return self.weights[name]

    def conv(self, x, kernel, strides):
        return tf.nn.conv2d(tf.constant(x), kernel, strides, "SAME").numpy()

    def pool(self, x):
        samples, height, width, channels = x.shape
        parts = x.reshape(samples, height // 2, 2, width // 2, 2, channels)
        return parts.mean(axis=(2, 4))

    def prelu(self, x, name):
        (slope,) = self.of(name)
        return np.where(x > 0, x, slope * x)

    def norm(self, x, name):
        gamma, beta, mean, variance = self.of(name)
        return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta

    def branch(self, x, strides, name):
        (shift,) = self.of(f"{name}_shift")
        kernel, temperature = self.of(f"{name}_binconv")
        kernel = np.clip(kernel / temperature, -1, 1)
        y = self.conv(np.where(x + shift >= 0, 1.0, -1.0), kernel, strides)
        return self.prelu(self.norm(y, f"{name}_bn1"), f"{name}_prelu")

    def excite(self, y, other, name):
        if not self.squeeze_excite:
            return y
        (a,) = self.of(f"{name}_mix")
        x = (a * other + (1 - a) * y).mean(axis=(1, 2), keepdims=True)
        kernel, bias = self.of(f"{name}_squeeze_conv")
        x = np.maximum(x @ kernel[0, 0] + bias, 0)
        kernel, bias = self.of(f"{name}_excite_conv")
        return y / (1 + np.exp(-(x @ kernel[0, 0] + bias)))

    def attention(self, x, shortcut, mixed, strides, name):
        y = self.excite(self.branch(x, strides, name), mixed, name)
        return self.norm(y * shortcut, f"{name}_bn2") + shortcut

    def feed_forward(self, x, shortcut, strides, name):
        y = self.excite(self.branch(x, strides, name), shortcut, name)
        if self.squeeze_excite:
            y = self.norm(y, f"{name}_bn2")
        return y + shortcut

    def residual_block(self, x, strides):
        """BNext-18: the mixed shortcut is the output of the PReLU."""
        shortcut = self.prelu(x, "b_attention_shortcut_prelu")
        if strides == 2:
            (kernel,) = self.of("b_attention_shortcut_conv")
            shortcut = self.conv(self.pool(shortcut), kernel, 1)
            shortcut = self.norm(shortcut, "b_attention_shortcut_bn")
        x = self.attention(x, shortcut, shortcut, strides, "b_attention")
        return self.feed_forward(x, x, 1, "b_ffn")

    def doubling_block(self, x, strides, doubles, index):
        """The others: it is the input, only pooled."""
        name = f"block_{index}"
        pool = self.pool if strides == 2 else np.asarray
        if index % 2:
            part = f"{name}_attention"
            shortcut = pool(self.prelu(x, f"{part}_shortcut_prelu"))
            x = self.attention(x, shortcut, pool(x), strides, part)
        else:
            x = self.feed_forward(x, pool(x), strides, f"{name}_ffn")
        if not doubles:
            return self.feed_forward(x, x, 1, f"{name}_1x1")
        halves = [self.feed_forward(x, x, 1, f"{name}_1x1_{i}") for i in (0, 1)]
        return np.concatenate(halves, axis=-1)


def random_weights(model, seed=0):
    """Gives every weight a value of its own, temperatures between the extremes."""
    draw = np.random.default_rng(seed)
    model.set_weights([draw.uniform(0.1, 0.9, w.shape) for w in model.get_weights()])
    for layer in model.layers:
        if hasattr(layer, "kernel_quantizer"):
            kernel, temperature = layer.get_weights()
            layer.set_weights([draw.normal(size=kernel.shape), temperature])
        elif isinstance(layer, tf.keras.layers.Conv2D):
            layer.set_weights([draw.normal(size=w.shape) for w in layer.get_weights()])


def check_block(factory, make, reference, channels):
    pixels = np.random.default_rng(1).normal(size=(2, 6, 8, channels))
    pixels = pixels.astype(np.float32)
    x = tf.keras.Input(pixels.shape[1:])
    model = tf.keras.Model(x, make(x))
    random_weights(model)
    expected = Reference(model, factory.squeeze_excite)
    values = reference(expected, pixels.astype(np.float64))
    np.testing.assert_allclose(model(pixels), values, rtol=1e-4, atol=1e-4)
    assert expected.used == {layer.name for layer in model.layers if layer.weights}
    has_mix = any(isinstance(layer, zx.layers.LearnedMix) for layer in model.layers)
    assert has_mix == factory.squeeze_excite


@pytest.mark.parametrize("squeeze_excite", [True, False])
@pytest.mark.parametrize("strides", [1, 2])
def test_block_of_bnext18(strides, squeeze_excite):
    factory = zx.BNext18.factory(squeeze_excite=squeeze_excite, include_top=False)
    filters = 16 if strides == 1 else 24
    check_block(
        factory,
        lambda x: factory.block(x, filters, strides, "b"),
        lambda r, x: r.residual_block(x, strides),
        16,
    )


@pytest.mark.parametrize("squeeze_excite", [True, False])
@pytest.mark.parametrize(
    "index, inputs, filters",
    [(0, 16, 32), (1, 32, 64), (2, 32, 32), (2, 32, 64), (3, 32, 32)],
)
def test_block_of_the_others(index, inputs, filters, squeeze_excite):
    factory = zx.BNextTiny.factory(
        filters=(16, 32, 64), squeeze_excite=squeeze_excite, include_top=False
    )
    strides = 2 if (inputs, filters) == (32, 64) else 1
    assert factory.strides(inputs, filters) == strides
    check_block(
        factory,
        lambda x: factory.block(x, filters, index),
        lambda r, x: r.doubling_block(x, strides, filters > inputs, index),
        inputs,
    )


def test_parts_of_the_networks():
    model = zx.BNext18.factory(
        input_shape=(32, 32, 3), blocks=(1, 1), filters=(16, 32)
    ).build()
    names = [layer.name for layer in model.layers]
    rest = names[names.index("last_prelu") + 1 :]
    assert rest and all(name.startswith("top") for name in rest)
    for layer in binary_layers(model):
        assert layer.kernel_quantizer.threshold == 1e-5
        assert layer.kernel_constraint.clip_value == 1.5
        assert layer.input_quantizer.get_config()["clip_value"] == 1.5
        # At the first temperature the kernel is what it is.
        kernel = layer.kernel.numpy()
        assert 0.0009 < kernel.std() < 0.0011
        np.testing.assert_array_equal(layer.kernel_quantizer(kernel), kernel)
    assert len({id(layer.kernel_quantizer) for layer in binary_layers(model)}) == 4
    others = {
        zx.BNextTiny: (32, 64, *[128] * 2, *[256] * 2, *[512] * 6, *[1024] * 2),
        zx.BNextSmall: (48, 96, *[192] * 2, *[384] * 2, *[768] * 6, *[1536] * 2),
        zx.BNextMiddle: (48, 96, *[192] * 4, *[384] * 4, *[768] * 8, *[1536] * 4),
        zx.BNextLarge: (64, 128, *[256] * 4, *[512] * 4, *[1024] * 16, *[2048] * 4),
    }
    for function, filters in others.items():
        factory = function.factory()
        assert factory.filters == filters
        assert factory.kernel_quantizer.threshold == 1e-7


def binary_layers(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel_quantizer")]


def temperatures(model):
    return [float(q.kernel_quantizer.temperature) for q in binary_layers(model)]


def test_mix_stays_between_its_inputs():
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(2, 5, 3)).astype(np.float32)
    layer = zx.layers.LearnedMix()
    layer([first, second])
    layer.set_weights([np.array([0.0, 0.3, 1.0], np.float32)])
    a = np.array([0.0, 0.3, 1.0])
    np.testing.assert_allclose(
        layer([first, second]), a * first + (1 - a) * second, rtol=1e-6
    )
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer([first, second]))
    gradient = tape.gradient(loss, layer.proportion)
    # Nothing is cut off at the ends.
    np.testing.assert_allclose(gradient, (first - second).sum(axis=0), rtol=1e-5)
    for optimizer in (
        tf.keras.optimizers.SGD(100.0),
        tf.keras.optimizers.legacy.SGD(100.0),
    ):
        layer.set_weights([np.full(3, 0.5, np.float32)])
        optimizer.apply_gradients([(tf.constant([1.0, -1.0, 0.001]), layer.proportion)])
        np.testing.assert_allclose(layer.get_weights()[0], [0, 1, 0.4], rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float64, tf.float32, tf.float16])
def test_temperature_sign(dtype):
    x = np.random.default_rng(0).normal(size=1000).astype(dtype.as_numpy_dtype)
    x[:2] = 0.0, -0.0
    for temperature in (1.0, 0.3, 2e-5):
        found = temperature_sign(tf.constant(x), temperature).numpy()
        wide = x.astype(np.float64)
        expected = np.clip(wide / np.float32(temperature), -1, 1)
        np.testing.assert_allclose(
            found, expected, rtol=np.finfo(x.dtype).eps, atol=1e-7
        )
    for temperature in (0.9e-5, 0.0):
        found = temperature_sign(tf.constant(x), temperature).numpy()
        np.testing.assert_array_equal(found, np.where(x < 0, -1, 1))
    factors = tf.cast(tf.range(1000), dtype)
    for temperature in (0.5, 0.0):
        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            y = temperature_sign(tensor, temperature) * factors
        np.testing.assert_array_equal(tape.gradient(y, tensor), range(1000))


def two_layers():
    x = inputs = tf.keras.Input((8, 8, 32))
    for index in range(2):
        x = lq.layers.QuantConv2D(
            32,
            3,
            padding="same",
            pad_values=1.0,
            use_bias=False,
            input_quantizer="ste_sign",
            kernel_quantizer=zx.TemperatureSign(),
            kernel_constraint="weight_clip",
            name=f"conv_{index}",
        )(x)
        x = tf.keras.layers.BatchNormalization(name=f"norm_{index}")(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(10)(x))


def images(samples=4):
    draw = np.random.default_rng(0).normal(size=(samples, 8, 8, 32))
    return draw.astype(np.float32)


def at_temperatures(*values):
    tf.keras.utils.set_random_seed(0)
    model = two_layers()
    for layer, value in zip(binary_layers(model), values):
        layer.kernel_quantizer.temperature.assign(value)
    return model


def test_a_layer_owns_its_temperature():
    model = two_layers()
    names = [weight.name for weight in model.weights]
    assert len(names) == len(set(names))
    layer = model.get_layer("conv_0")
    kernel, temperature = layer.weights
    assert temperature is layer.kernel_quantizer.temperature
    assert layer.trainable_weights[0] is kernel and len(layer.trainable_weights) == 1
    assert [id(w) for w in layer.non_trainable_weights] == [id(temperature)]
    values = model.get_weights()
    assert values[0].shape == (3, 3, 32, 32) and values[1] == 1.0
    values[1] = np.float32(0.5)
    model.set_weights(values)
    assert temperatures(model) == [0.5, 1.0]
    clone = tf.keras.models.clone_model(model)
    assert temperatures(clone) == [1.0, 1.0]
    assert clone.get_layer("conv_0").kernel_quantizer is not layer.kernel_quantizer


def test_a_change_needs_no_new_trace():
    model, traces = at_temperatures(0.01, 0.01), []

    @tf.function
    def run(x):
        traces.append(x)
        return model(x)

    soft = run(images())
    np.testing.assert_allclose(soft, model(images()), rtol=1e-5, atol=1e-6)
    for layer in binary_layers(model):
        layer.kernel_quantizer.temperature.assign(0.0)
    hard = run(images())
    np.testing.assert_allclose(hard, model(images()), rtol=1e-5, atol=1e-6)
    assert len(traces) == 1 and np.abs(hard - soft).max() > 0.1


@pytest.mark.parametrize("file", ["model.keras", "model.h5", "model", "nested.h5"])
def test_saved_models_keep_it(file, tmp_path):
    model = at_temperatures(0.01, 0.0)
    if file.startswith("nested"):
        outer = tf.keras.Input((8, 8, 32))
        outer_model = tf.keras.Model(outer, model(outer))
        outer_model.save(tmp_path / file)
        copy = tf.keras.models.load_model(tmp_path / file).layers[1]
    else:
        model.save(tmp_path / file)
        copy = tf.keras.models.load_model(tmp_path / file)
    np.testing.assert_array_equal(temperatures(copy), np.float32([0.01, 0.0]))
    assert isinstance(copy.layers[1].kernel_quantizer, zx.TemperatureSign)
    np.testing.assert_allclose(copy(images()), model(images()), rtol=1e-5, atol=1e-6)
    # It is still the one that the layer uses.
    copy.layers[1].kernel_quantizer.temperature.assign(1.0)
    assert np.abs(copy(images()) - model(images())).max() > 1e-3


@pytest.mark.parametrize("file", ["w.weights.h5", "w.h5", "checkpoint", "tf"])
def test_saved_weights_keep_it(file, tmp_path):
    model, copy = at_temperatures(0.01, 0.0), two_layers()
    path = str(tmp_path / file)
    if file == "tf":
        path = tf.train.Checkpoint(model=model).save(path)
        tf.train.Checkpoint(model=copy).restore(path).assert_consumed()
    else:
        model.save_weights(path)
        copy.load_weights(path)
    np.testing.assert_array_equal(temperatures(copy), np.float32([0.01, 0.0]))
    np.testing.assert_array_equal(copy(images()), model(images()))


def test_half_precision():
    layer = lq.layers.QuantDense(
        4,
        kernel_quantizer=zx.TemperatureSign(1e-7),
        kernel_constraint="weight_clip",
        dtype="mixed_float16",
    )
    layer.build((None, 3))
    kernel = np.float32([[2e-6], [-1e-6], [0]]) * np.ones(4, np.float32)
    layer.set_weights([kernel, np.zeros(4), np.float32(4e-6)])
    assert layer.kernel_quantizer.temperature.dtype == tf.float32
    output = layer(np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(output[:, 0], [0.5, -0.25, 0], atol=0.02)


class Recorder(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(temperatures(self.model))


def test_decay_is_a_function_of_the_epoch():
    model, recorder = two_layers(), Recorder()
    model.compile("sgd", "mse")
    for first, last in ((0, 2), (2, 4)):
        model.fit(
            images(),
            np.zeros((4, 10)),
            initial_epoch=first,
            epochs=last,
            verbose=0,
            callbacks=[zx.TemperatureDecay(), recorder],
        )
    expected = [[0.9**epoch] * 2 for epoch in range(4)]
    np.testing.assert_allclose(recorder.seen, expected, rtol=1e-6)
    # The optimizer leaves them alone.
    np.testing.assert_allclose(temperatures(model), expected[-1], rtol=1e-6)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"decay=1\.0 must be between 0 and 1"):
        zx.TemperatureDecay(1.0)
    with pytest.raises(ValueError, match="threshold=0 must be above 0"):
        zx.TemperatureSign(0)
    plain = tf.keras.Sequential([tf.keras.layers.Dense(1)], name="plain")
    plain.compile("sgd", "mse")
    message = "'plain' has no layer with kernel_quantizer=TemperatureSign"
    with pytest.raises(ValueError, match=message):
        plain.fit([[1.0]], [[1.0]], verbose=0, callbacks=[zx.TemperatureDecay()])
    with pytest.raises(ValueError, match=message):
        zx.force_sign(plain)
    one = tf.ones((1, 3))
    with pytest.raises(ValueError, match="must be two tensors"):
        zx.layers.LearnedMix()(one)
    with pytest.raises(
        ValueError, match=r"same number of channels\. Received: 3 and 2"
    ):
        zx.layers.LearnedMix()([one, tf.ones((1, 2))])
    with pytest.raises(ValueError, match=r"\(4, 8\) must be at least 8 each for sq"):
        zx.BNext18.factory(filters=(4, 8), blocks=(1, 1)).build()
    narrow = {"filters": (4, 8), "blocks": (1, 1), "input_shape": (32, 32, 3)}
    zx.BNext18.factory(**narrow, squeeze_excite=False).build()
    with pytest.raises(ValueError, match="equal to the one before it or twice"):
        zx.BNextTiny.factory(filters=(16, 48)).build()
    with pytest.raises(ValueError, match="stem='conv7x7' must be 'conv3x3' or 'cifar'"):
        zx.BNextTiny(stem="conv7x7")


def test_force_sign_copies():
    model = at_temperatures(0.5, 0.02)
    before = model.get_weights(), model(images()).numpy()
    forced = zx.force_sign(model)
    assert temperatures(forced) == [0.0, 0.0]
    for layer, other in zip(binary_layers(forced), binary_layers(model)):
        with lq.context.quantized_scope(True):
            values = layer.kernel.numpy()
        np.testing.assert_array_equal(values, np.where(other.kernel < 0, -1, 1))
        np.testing.assert_array_equal(layer.kernel, other.kernel)
    # The same network with kernels that are signs themselves.
    binary = tf.keras.models.clone_model(model, clone_function=without_latent)
    binary.set_weights(
        [
            np.where(w < 0, -1.0, 1.0) if w.ndim == 4 else w
            for w in model.get_weights()
            if w.ndim
        ]
    )
    np.testing.assert_allclose(forced(images()), binary(images()), rtol=1e-6)
    assert np.abs(forced(images()) - before[1]).max() > 0.1
    for weight, copied in zip(model.get_weights(), before[0]):
        np.testing.assert_array_equal(weight, copied)
    np.testing.assert_array_equal(model(images()), before[1])


def without_latent(layer):
    config = layer.get_config()
    if "kernel_quantizer" in config:
        config["kernel_quantizer"] = lq.quantizers.NoOp(precision=1)
    return type(layer).from_config(config)


def test_only_forced_models_convert():
    import converters

    model = at_temperatures(0.5, 0.5)
    with pytest.warns(UserWarning, match=r"9\d{3} values of TemperatureS.*force_sign"):
        stayed = converters.convert(model, inputs=images(16)).report
    assert [layer.name for layer in stayed.audit.stayed_float] == ["conv_0", "conv_1"]
    assert "LceBconv2d" not in stayed.audit.operators
    # Parity with the Keras model is what `verification` measures.
    report = converters.convert(zx.force_sign(model), inputs=images(16)).report
    assert report.audit.operators["LceBconv2d"] == 2
    assert not report.audit.stayed_float and report.verification.passed


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, fields",
    [
        ("bnext18", {"blocks": (1, 1), "filters": (32, 64)}),
        ("bnext_tiny", {"filters": (32, 64, 128, 128)}),
    ],
)
@pytest.mark.parametrize("squeeze_excite", [True, False])
def test_networks_convert(name, fields, squeeze_excite):
    import converters
    from zoo_extensions import registry

    model = (
        registry._MODELS[name]
        .factory(
            **fields,
            input_shape=(64, 64, 3),
            num_classes=7,
            squeeze_excite=squeeze_excite,
            latent_weights=True,
        )
        .build()
    )
    pixels = np.random.default_rng(0).normal(size=(16, 64, 64, 3)).astype(np.float32)
    forced = zx.force_sign(model)
    report = converters.convert(forced, inputs=pixels).report
    assert not report.audit.stayed_float
    assert report.audit.operators["LceBconv2d"] == len(binary_layers(model)) > 3
    assert report.verification.passed
