"""Undetermined networks: signs that depend on rounding have a verdict of their own."""

import dataclasses
import warnings

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import converters
import zoo_extensions as zx
from converters.runtime import TfliteFile
from larq_bnnopt import cli

from ..conftest import conv, noise

layers = tf.keras.layers


def scaled(scale):
    """A quantizer of kernels to -scale and +scale."""

    def quantize(kernel):
        # By constants: a product of a sign would be another pattern.
        return tf.where(kernel < 0, -scale, scale)

    return quantize


def chain(*between, shape=(8, 8, 32), head=True, **options):
    """Two binary convolutions; the sign between them depends on sums of the first."""
    tf.keras.utils.set_random_seed(0)
    x = inputs = tf.keras.Input(shape)
    options = {"kernel_quantizer": "magnitude_aware_sign", **options}
    x = conv(name="first", filters=64, **options)(x)
    for layer in between:
        x = layer(x)
    x = conv(name="second", filters=64)(x)
    if head:
        x = layers.Dense(10, "softmax")(layers.GlobalAveragePooling2D()(x))
    return tf.keras.Model(inputs, x)


def residual():
    """A new network: batch norms that divide by nearly 1, and sums of their outputs."""
    tf.keras.utils.set_random_seed(0)
    x = inputs = tf.keras.Input((8, 8, 32))
    for index in range(3):
        y = conv(name=f"block_{index}")(x)
        x = layers.Add()([x, layers.BatchNormalization()(y)]) if index else y
        x = x if index else layers.BatchNormalization()(y)
    x = conv(name="last")(x)
    return tf.keras.Model(inputs, layers.Dense(10)(layers.GlobalAvgPool2D()(x)))


def over_time():
    tf.keras.utils.set_random_seed(0)
    options = {"use_bias": False, "input_quantizer": "ste_sign"}
    model = tf.keras.Sequential(
        [
            tf.keras.Input((16, 32)),
            lq.layers.QuantConv1D(
                64, 3, kernel_quantizer="magnitude_aware_sign", **options
            ),
            lq.layers.QuantConv1D(
                32, 3, kernel_quantizer="ste_sign", name="second", **options
            ),
            layers.GlobalAveragePooling1D(),
        ]
    )
    return model


def dense():
    tf.keras.utils.set_random_seed(0)
    options = {"use_bias": False, "input_quantizer": "ste_sign"}
    return tf.keras.Sequential(
        [
            tf.keras.Input((200,)),
            lq.layers.QuantDense(
                128, kernel_quantizer="magnitude_aware_sign", **options
            ),
            lq.layers.QuantDense(
                10, kernel_quantizer="ste_sign", name="second", **options
            ),
        ]
    )


UNDETERMINED = {
    "scaled kernels": chain,
    "a map": lambda: chain(head=False),
    "pooled": lambda: chain(layers.AveragePooling2D(2)),
    "a third": lambda: chain(kernel_quantizer=scaled(1 / 3)),
    "max-pooled": lambda: chain(layers.MaxPooling2D(2)),
    "over time": over_time,
    "dense": dense,
    "new batch norms": residual,
}


@pytest.mark.parametrize("name", UNDETERMINED)
def test_sums_that_are_zero_but_for_rounding(name):
    model = UNDETERMINED[name]()
    inputs = noise(model, 48)
    with pytest.raises(converters.ConversionError, match="undetermined") as caught:
        converters.convert(model, inputs=inputs)
    result = caught.value.report.verification
    assert result.outcome == "undetermined" and not result.passed and not result
    assert result.first_mismatch is None
    text = str(caught.value)
    assert all(layer in text for layer in result.undetermined[:3])
    last = "last" if name == "new batch norms" else "second"
    assert last in {layer.layer for layer in result.layers if layer.undetermined}
    for cure in ("batch normalization", "to_latent_free", "allow_undetermined=True"):
        assert cure in text


def trained_norm():
    """Batch normalization as training leaves it."""
    constant = tf.keras.initializers.Constant
    return layers.BatchNormalization(
        beta_initializer=constant(0.3), moving_variance_initializer=constant(40.0)
    )


DETERMINED = {
    # The cures that the error names.
    "batch norm": lambda: chain(trained_norm()),
    "bias": lambda: chain(use_bias=True, bias_initializer="random_normal"),
    "latent free": lambda: zx.to_latent_free(chain()),
    # Sums of these are exact.
    "plain signs": lambda: chain(kernel_quantizer="ste_sign"),
    "a power of two": lambda: chain(kernel_quantizer=scaled(0.25)),
    "one channel": lambda: chain(shape=(8, 8, 1), kernel_quantizer="ste_sign"),
}


@pytest.mark.parametrize("name", DETERMINED)
def test_what_is_exact_or_far_from_zero_passes(name):
    model = DETERMINED[name]()
    result = converters.convert(model, inputs=noise(model, 48)).report.verification
    assert result.outcome == "passed" and not result.undetermined and not result.cure
    assert sum(layer.flipped_near_zero for layer in result.layers) <= 2  # None, mostly.


def test_it_is_written_if_asked_for(tmp_path):
    model = chain()
    inputs, path = noise(model, 48), tmp_path / "model.tflite"
    with pytest.raises(converters.ConversionError):
        converters.convert(model, path, inputs=inputs)
    assert not path.exists()
    with pytest.warns(UserWarning, match="rounding decides") as caught:
        conversion = converters.convert(
            model, path, inputs=inputs, allow_undetermined=True
        )
    (warned,) = [w for w in caught if "rounding decides" in str(w.message)]
    assert warned.filename == __file__
    assert path.read_bytes() == conversion.content
    content = conversion.report.as_dict()["verification"]
    assert content["outcome"] == "undetermined" and not content["passed"]
    assert "undetermined" in conversion.report.markdown()
    result = converters.verify(model, path, inputs)
    assert result.outcome == "undetermined" and result.undetermined == ("second",)
    with pytest.raises(converters.ConversionError, match="undetermined"):
        converters.package(path, tmp_path / "a", inputs=inputs[:16], model=model)
    with pytest.warns(UserWarning, match="rounding decides"):
        folder = converters.package(
            path,
            tmp_path / "b",
            inputs=inputs[:16],
            model=model,
            allow_undetermined=True,
        )
    assert converters.replay(folder).passed


def test_a_fault_is_not_called_undetermined(tmp_path):
    """A channel that is large makes all others small, on the scale of the layer."""
    norm = layers.BatchNormalization()
    model = chain(norm, kernel_quantizer="ste_sign")
    gamma, *others = norm.get_weights()
    gamma[0] = 1e8
    others[0][:] = 0.3
    norm.set_weights([gamma, *others])
    inputs = noise(model, 48)
    content = converters.convert(model, inputs=inputs).content
    # Filters of the other channels are flipped: no value changes by more than 1e-5.
    file = TfliteFile(content)
    operator = next(op for op in file.operators if op.name == "LceBconv2d")
    packed = file.data(operator.inputs[1]).tobytes()
    assert content.count(packed) == 1
    words = np.frombuffer(packed, np.int32).reshape(64, -1).copy()
    words[1:] ^= np.int32(0x55555555)
    result = converters.verify(model, content.replace(packed, words.tobytes()), inputs)
    assert not result.passed and "second" in result.verdict
    with pytest.raises(converters.ConversionError):
        path = tmp_path / "wrong.tflite"
        path.write_bytes(content.replace(packed, words.tobytes()))
        converters.package(path, tmp_path / "p", inputs=inputs[:9], model=model)


def test_an_int8_file_is_held_to_the_same():
    tf.keras.utils.set_random_seed(0)
    stem = layers.Conv2D(32, 3, padding="same")
    others = chain().layers[1:]
    model = tf.keras.Sequential([tf.keras.Input((8, 8, 3)), stem, *others])
    inputs = noise(model, 64)
    with pytest.raises(converters.ConversionError) as caught:
        converters.convert(model, inputs=inputs, calibration=inputs)
    result = caught.value.report.verification
    assert result.int8 and result.steps.undetermined == ("second",)
    assert not result.passed and "second" in str(caught.value)


@pytest.fixture(scope="module")
def int8():
    """A float convolution in int8 before a binary one, and its inputs."""
    tf.keras.utils.set_random_seed(0)
    norm = trained_norm()
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 3)),
            layers.Conv2D(32, 3, padding="same", bias_initializer="random_normal"),
            layers.ReLU(),
            conv(),
            norm,
            layers.GlobalAveragePooling2D(),
        ]
    )
    inputs = noise(model, 64)
    return model, converters.convert(model, inputs=inputs, calibration=inputs), inputs


def test_a_tensor_that_is_shifted_by_a_step_is_a_mismatch(int8):
    """One step is what rounding may be, for some values and not for all."""
    model, conversion, inputs = int8
    assert conversion.report.verification.passed
    file = TfliteFile(conversion.content)
    operator = next(op for op in file.operators if op.name == "CONV_2D")
    image, _, bias = operator.inputs
    scale = file.quantization(image)[0]
    step = file.quantization(operator.outputs[0])[0]
    packed = file.data(bias).tobytes()
    assert conversion.content.count(packed) == 1
    # Each channel of the kernel has a scale of its own.
    kernels = model.layers[0].kernel.numpy()
    scales = np.abs(kernels).max(axis=(0, 1, 2)) / 127
    shifted = file.data(bias).view(np.int32) + np.round(step / (scale * scales))
    content = conversion.content.replace(packed, shifted.astype(np.int32).tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = converters.graph.freezing.freeze(model)
        converters.int8.insertion.insert_fake_quants(
            graph, {model.input_names[0]: inputs}, False
        )
    found = {}
    for name, file in (("right", conversion.content), ("shifted", content)):
        found[name] = converters.verification.steps.compare_steps(
            converters.int8.fake_quants.with_quantized_kernels(graph),
            converters.Interpreter(file),
            {model.input_names[0]: inputs},
        )
    assert found["right"].passed and found["right"].farthest <= 1
    assert found["shifted"].off_by_one > 20 * found["right"].off_by_one
    assert not found["shifted"].passed


PLAIN = converters.Verification(
    samples=100, layers=(), untraced=(), first_mismatch=None, output_difference=1e-7,
    median_difference=1e-7, largest_difference=0.1, agreement=1.0,
    mismatched=1, mismatched_near_zero=1, keras_accuracy=None, tflite_accuracy=None,
    unexplained_mismatches=0, not_finite=0, milliseconds=1.0, num_threads=1,
    backend_name="", classes=True,
)  # fmt: skip


def layer(values, flipped_near_zero):
    from converters.verification.signs import LayerParity

    return LayerParity("inner", values, flipped_near_zero, 0, 0.0)


@pytest.mark.parametrize(
    "change, outcome",
    [
        ({}, "passed"),
        ({"layers": (layer(1000, 8),)}, "passed"),
        ({"layers": (layer(1000, 9),)}, "undetermined"),
        ({"layers": (layer(10**6, 1000),)}, "passed"),
        ({"layers": (layer(10**6, 1001),)}, "undetermined"),
        # A layer of few signs is not hidden by one of many.
        ({"layers": (layer(10**9, 9), layer(500, 50))}, "undetermined"),
        ({"layers": (layer(1000, 900),), "first_mismatch": "inner"}, "failed"),
        ({"changed": 5}, "passed"),
        ({"changed": 6}, "undetermined"),
        ({"samples": 8, "changed": 2}, "passed"),
        ({"samples": 8, "changed": 3}, "undetermined"),
        ({"keras_accuracy": 0.9, "tflite_accuracy": 0.88}, "passed"),
        ({"keras_accuracy": 0.9, "tflite_accuracy": 0.87}, "undetermined"),
        ({"keras_accuracy": 0.8, "tflite_accuracy": 0.9}, "passed"),
        ({"unexplained_mismatches": 1}, "failed"),
        ({"output_difference": 1e-3, "changed": 50}, "failed"),
        ({"output_difference": float("nan")}, "failed"),
    ],
)
def test_how_much_rounding_excuses(change, outcome):
    result = dataclasses.replace(PLAIN, **change)
    assert result.outcome == outcome
    assert result.passed == bool(result) == (outcome == "passed")
    assert bool(result.cure) == ("undetermined" in result.verdict)
    assert ("undetermined" in result.verdict) == (outcome == "undetermined")


def witness(**change):
    from converters.verification.witness import Witness

    plain = Witness(
        backend_name="other",
        milliseconds=1.0,
        largest_difference=0.0,
        changed=0,
        fault=None,
    )
    return {"witness": dataclasses.replace(plain, **change)}


@pytest.mark.parametrize(
    "change, outcome",
    [
        ({"changed": 5, "largest_difference": 0.3}, "passed"),
        # The users' interpreter is right; others may round differently.
        ({"changed": 6, "largest_difference": 0.3}, "passed"),
        ({"fault": "inner"}, "failed"),
    ],
)
def test_a_second_interpreter_is_held_to_the_same(change, outcome):
    result = dataclasses.replace(PLAIN, **witness(**change))
    assert result.outcome == outcome
    assert ("6 of 100 predictions differ in other" in result.remark) == (
        change.get("changed") == 6
    )
    if outcome == "failed":
        assert "other" in result.verdict and "inner" in result.verdict


def test_both_interpreters_are_compared_and_the_users_one_is_timed():
    model = chain(trained_norm())
    inputs = noise(model, 48)
    result = converters.convert(model, inputs=inputs).report
    users = converters.Interpreter(converters.convert(model, inputs=None).content)
    verification = result.verification
    assert verification.backend_name == users.backend_name
    rows = dict(result.rows())
    assert rows["time per input"].endswith(f"by {users.backend_name}")
    if users.backend == "lce":
        assert verification.witness is None
        return
    assert verification.witness.backend_name.startswith("larq-compute-engine")
    assert verification.witness.fault is None
    assert verification.witness.largest_difference < 1e-5
    assert f"the same in {verification.witness.backend_name}" in rows


def test_a_second_interpreter_that_answers_differently_is_noticed(monkeypatch):
    model = chain(trained_norm())
    inputs = noise(model, 48)
    content = converters.convert(model, inputs=None).content
    interpreter = converters.Interpreter(content)
    if interpreter.backend == "lce":
        pytest.skip("there is one interpreter here")
    plain = type(interpreter).predict

    def predict(self, batch):
        answer = plain(self, batch)
        return answer if self.backend != "lce" else np.roll(answer, 1, axis=-1)

    monkeypatch.setattr(type(interpreter), "predict", predict)
    result = converters.verify(model, content, inputs)
    assert result.witness.fault == "the outputs" and result.outcome == "failed"
    assert "larq-compute-engine" in result.verdict


@pytest.mark.parametrize("extra, passed", [(0, True), (1, False)])
def test_a_replay_excuses_as_few(extra, passed, monkeypatch, tmp_path):
    """As if another machine flipped signs whose values are near zero."""
    from converters.packages import replaying

    model = chain(trained_norm(), shape=(8, 8, 3))
    inputs = noise(model, 4)
    content = converters.convert(model, inputs=inputs).content
    folder = converters.package(content, tmp_path / "device", inputs=inputs)
    replay = converters.replay(folder)
    assert replay.passed and replay.undetermined is None
    first = 8 * 8 * 3  # The signs of an input before the first layer.
    plain = replaying.flipped

    def flipped(values, words):
        found = plain(values, words)
        # In all 4 inputs 8 signs of 768: what is allowed, whatever their share.
        if values.size != first:
            return found
        return np.append(found, [1e-7] * (2 + extra * next(is_last)))

    is_last = iter([0, 0, 0, 1])
    monkeypatch.setattr(replaying, "flipped", flipped)
    replay = converters.replay(folder)
    assert (replay.flipped_near_zero, replay.unexplained_flips) == (8 + extra, 0)
    assert replay.signs == 4 * first
    assert replay.passed == passed
    assert (replay.undetermined is None) == passed
    assert ("undetermined" in replay.verdict) == (not passed)


def test_commands_say_it_and_take_the_switch(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = chain(shape=(28, 28, 1), strides=4, kernel_size=4)
    model.save("model.keras")
    words = ["convert", "model.keras", "--dataset", "fashion_mnist_mini"]
    assert cli.main(words) == 1
    assert "undetermined" in capsys.readouterr().err
    assert not (tmp_path / "model.tflite").exists()
    assert cli.main([*words, "--allow-undetermined"]) == 0
    assert "undetermined" in capsys.readouterr().out
    words = ["verify", "model.keras", "model.tflite", "--dataset", "fashion_mnist_mini"]
    assert cli.main(words) == 1
    assert "undetermined" in capsys.readouterr().err
