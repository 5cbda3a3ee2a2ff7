"""PokeBNN: its blocks against their equations, its ACE against a formula by hand."""

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from zoo_extensions.layers import DPReLU, HardSigmoid, ReshapeAdd

from .test_models import binary_layers, images, make_trained_looking

NARROW = {"blocks": (1, 1), "filters": (16, 24), "input_shape": (32, 32, 3)}


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(0)
    made = zx.PokeBNN100(latent_weights=False, num_classes=5, **NARROW)
    make_trained_looking(made)
    return made


def weights_of(model, name):
    return [w.astype(np.float64) for w in model.get_layer(name).get_weights()]


def normalized(model, name, x):
    gamma, beta, mean, variance = weights_of(model, name)
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def pooled(x):
    """Means of 3x3 neighbourhoods of every other pixel, without the border."""
    rows, columns = x.shape[1:3]
    y = np.zeros((x.shape[0], rows // 2, columns // 2, x.shape[3]))
    for i in range(rows // 2):
        for j in range(columns // 2):
            y[:, i, j] = x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].mean(axis=(1, 2))
    return y


def poke_conv(model, name, x, strides=1, block_input=None):
    """The equation in float64; only the convolution of signs is TensorFlow's."""
    (kernel,) = weights_of(model, f"{name}_binconv")
    signs = np.where(x < 0, -1.0, 1.0)
    y = tf.nn.conv2d(signs, kernel, strides, "SAME").numpy()
    y = normalized(model, f"{name}_bn1", y)
    local = pooled(x) if strides == 2 else x
    wanted, given = y.shape[-1], x.shape[-1]
    if given > wanted:
        group = given // wanted
        local = np.stack(
            [
                local[..., group * c : group * (c + 1)].mean(axis=-1)
                for c in range(wanted)
            ],
            axis=-1,
        )
    elif given < wanted:
        padding = np.zeros((*local.shape[:3], wanted - given))
        local = np.concatenate([local, padding], axis=-1)
    y = y + local
    if block_input is not None:
        y = y + np.stack(
            [block_input[..., c % block_input.shape[-1]] for c in range(wanted)],
            axis=-1,
        )
    shift_in, shift_out, negative, positive = weights_of(model, f"{name}_dprelu")
    y = y - shift_in
    y = np.where(y < 0, negative, positive) * y - shift_out
    means = x.mean(axis=(1, 2))
    squeeze, bias = weights_of(model, f"{name}_squeeze_conv")
    hidden = np.maximum(means @ squeeze[0, 0] + bias, 0)
    excite, bias = weights_of(model, f"{name}_excite_conv")
    gate = np.clip(hidden @ excite[0, 0] + bias + 3, 0, 6) / 6
    return normalized(model, f"{name}_bn2", y * gate[:, None, None])


@pytest.mark.parametrize("stage", [0, 1])
def test_a_block_is_its_equations(model, stage):
    name = f"stage_{stage}_block_0"
    layers = [model.get_layer(f"{name}_conv1_binconv")]
    outputs = [model.get_layer(f"{name}_conv{i}_bn2").output for i in (1, 2, 3)]
    found = tf.keras.Model(model.input, [layers[0].input, *outputs])(images())
    x, first, second, third = (tensor.numpy().astype(np.float64) for tensor in found)
    strides = 1 if stage == 0 else 2
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(first, poke_conv(model, f"{name}_conv1", x), **close)
    expected = poke_conv(model, f"{name}_conv2", first, strides)
    np.testing.assert_allclose(second, expected, **close)
    shortcut = x if strides == 1 else pooled(x)
    expected = poke_conv(model, f"{name}_conv3", second, block_input=shortcut)
    np.testing.assert_allclose(third, expected, **close)
    assert third.std(axis=(0, 1, 2)).min() > 0


def test_scales_start_at_zero_in_the_third_convolution_alone():
    fresh = zx.PokeBNN100(num_classes=5, **NARROW)
    for layer in fresh.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            third = layer.name.endswith("conv3_bn1")
            assert set(layer.gamma.numpy()) == {0.0 if third else 1.0}, layer.name


def test_the_gradient_of_a_sign_ends_at_3(model):
    x = tf.constant([-3.1, -2.9, 0.0, 2.9, 3.1])
    for layer in binary_layers(model):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer.input_quantizer(x)
        assert tape.gradient(y, x).numpy().tolist() == [0, 1, 1, 1, 0]


def ace_by_hand(size, blocks, filters, classes):
    """Section 3: each product times the bits of its factors; 1, 4 and 8 bits."""
    side = size // 4
    stem = side**2 * (4 * 4 * 3 * 32 + 3 * 3 * 64)
    binary, gates, channels = 0, 0, 64
    for stage, (number, width) in enumerate(zip(blocks, filters)):
        for block in range(number):
            halves = 2 if stage and not block else 1
            for kernel, strides, outputs in (
                (1, 1, width),
                (3, halves, width),
                (1, 1, 4 * width),
            ):
                side //= strides
                binary += side**2 * kernel**2 * channels * outputs
                gates += channels // 8 * (channels + outputs)
                channels = outputs
    return binary, binary + 16 * gates + 64 * (stem + channels * classes)


def test_counts_are_those_by_hand(model):
    (row,) = zx.published("pokebnn_075")
    count = zx.count_ops(model)
    binary, ace = ace_by_hand(32, (1, 1), (16, 24), 5)
    assert count.bops == binary
    (counted,) = row.compare(count)
    assert (counted.figure, counted.value) == ("ace", ace)
    # Real layers compute in 16 bits where nothing else is said.
    assert count.ace == binary + 256 * count.flops


@pytest.mark.parametrize(
    "percent, printed",
    [(75, "2.6"), (140, "7.8")],
)
def test_the_published_ace_follows_from_the_formula(percent, printed):
    widths = [channels * percent // 100 for channels in (64, 128, 256, 512)]
    function = getattr(zx, f"PokeBNN{percent:03d}")
    assert list(function.architecture["filters"]) == widths
    _, ace = ace_by_hand(224, (3, 4, 6, 3), widths, 1000)
    assert f"{ace / 1e9:.1f}" == printed
    (row,) = zx.published(f"pokebnn_{percent:03d}")
    assert row.ace.text == printed


def test_dprelu_has_a_gradient_of_each_weight():
    layer = DPReLU()
    x = tf.constant([[-2.0, 3.0]])
    layer(x)
    layer.set_weights([np.full(2, value) for value in (0.5, 1.0, 0.1, 2.0)])
    with tf.GradientTape() as tape:
        y = layer(x)
        total = tf.reduce_sum(y)
    np.testing.assert_allclose(y, [[-0.25 - 1, 5.0 - 1]])
    gradients = [g.numpy().tolist() for g in tape.gradient(total, layer.weights)]
    assert gradients[1:] == [[-1, -1], [-2.5, 0], [0, 2.5]]
    np.testing.assert_allclose(gradients[0], [-0.1, -2.0])


def test_hard_sigmoid():
    x = np.linspace(-5, 5, 41, dtype=np.float32)
    np.testing.assert_allclose(
        HardSigmoid()(x), np.clip((x + 3.0) / 6.0, 0, 1), atol=1e-6
    )


def test_channels_that_are_no_multiple():
    y, r = tf.zeros((1, 2, 2, 5)), tf.reshape(tf.range(8.0), (1, 2, 2, 2))
    repeated = ReshapeAdd("repeat")([y, r]).numpy()
    assert repeated[0, 1, 0].tolist() == [4, 5, 4, 5, 4]
    # The fifth channel is left out, as the authors do.
    means = ReshapeAdd("zeros")([r, tf.reshape(tf.range(20.0), (1, 2, 2, 5))]).numpy()
    assert (means - r.numpy())[0, 1, 0].tolist() == [10.5, 12.5]
    width = zx.PokeBNN140.factory(
        blocks=(1, 1), filters=(11, 22), input_shape=(32, 32, 3), num_classes=3
    ).build()
    assert width(images()).shape == (4, 3)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ReshapeAdd("tile"), "expand='tile' must be 'zeros' or 'repeat'"),
        (lambda: ReshapeAdd("zeros")(tf.zeros((1, 2, 2, 3))), "must be two tensors"),
        (lambda: zx.PokeBNN050(stem="big"), "stem='big' must be 'poke' or 'cifar'"),
        (
            lambda: zx.PokeBNN050(filters=(4, 8), blocks=(1, 1)),
            "at least 8, the ratio of squeeze-and-excitation",
        ),
        (lambda: zx.PokeBNN050(blocks=(1,)), "must be 4 numbers of at least 1"),
        (
            lambda: zx.PokeBNN050.factory(stem_groups=7).build(),
            "stem_groups=7 must be a divisor of stem_filters=64",
        ),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
