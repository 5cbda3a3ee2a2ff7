"""Random colors: each formula in float64, each number from seed, epoch and batch."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.datasets import colors
from larq_bnnopt.datasets.colors import Colors

# Of ImageNet's colors: Krizhevsky et al. (2012), as in the Torch code of ResNet.
VALUES = np.array([0.2175, 0.0188, 0.0045])
VECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (5, 6, 7, 3))


def test_jitter_in_float64(images):
    factors = np.random.default_rng(1).uniform(0.6, 1.4, (3, 5, 1, 1, 1))
    x = images * factors[0]
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    x = mean + factors[1] * (x - mean)
    grey = (x @ [0.2989, 0.5870, 0.1140])[..., None]
    expected = np.clip(grey + factors[2] * (x - grey), 0, 255)
    given = [tf.constant(f, tf.float32) for f in factors]
    got = colors.jittered(tf.constant(images, tf.float32), given)
    np.testing.assert_allclose(got, expected, atol=2e-3)
    assert (expected == 255).any() and (expected < 255).any()


def test_grey_images_have_no_saturation(images):
    grey = tf.constant(images[..., :1], tf.float32)
    one = colors.jittered(grey, [1.2, 0.8, 1.0])
    np.testing.assert_array_equal(one, colors.jittered(grey, [1.2, 0.8, 5.0]))


def test_hsv_jitter_in_float64(images):
    turn, saturation, value = (
        np.random.default_rng(seed).uniform(low, high, (5, 1, 1))
        for seed, low, high in ((2, -0.5, 0.5), (3, 0.5, 1.5), (4, 0.5, 1.5))
    )

    def changed(pixel, t, s, v):
        hue, share, bright = colorsys.rgb_to_hsv(*(pixel / 255))
        return 255 * np.array(
            colorsys.hsv_to_rgb((hue + t) % 1, min(share * s, 1), min(bright * v, 1))
        )

    expected = np.array(
        [
            [[changed(p, t, s, v) for p in row] for row in image]
            for image, t, s, v in zip(
                images, turn.ravel(), saturation.ravel(), value.ravel()
            )
        ]
    )
    got = colors.hsv_jittered(
        *(tf.constant(a, tf.float32) for a in (images, turn, saturation, value))
    )
    np.testing.assert_allclose(got, expected, atol=5e-3)


def test_pca_noise_in_float64(images):
    alphas = np.random.default_rng(5).normal(0, 0.5, (5, 3))
    noise = 255 * np.stack([VECTORS @ (a * VALUES) for a in alphas])
    expected = np.clip(images + noise[:, None, None], 0, 255)
    got = colors.with_pca_noise(
        tf.constant(images, tf.float32), tf.constant(alphas, tf.float32)
    )
    np.testing.assert_allclose(got, expected, atol=1e-3)
    assert np.abs(expected - images).max() > 10
    # The columns are principal components: orthonormal, to their four digits.
    np.testing.assert_allclose(VECTORS.T @ VECTORS, np.eye(3), atol=1e-3)


@pytest.mark.parametrize(
    "change, spread",
    [
        (Colors(pca=0.1), lambda noise: noise.std(axis=0)),
        (Colors(jitter=0.3), None),
        (Colors(hsv=0.2), None),
    ],
)
def test_each_image_has_its_own_numbers(change, spread):
    image = np.random.default_rng(0).uniform(-0.4, 0.4, (1, 4, 4, 3))
    batch = tf.constant(np.repeat(image, 2000, axis=0), tf.float32)
    one, same, other = (change(batch, tf.constant([3, s])).numpy() for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any(axis=(1, 2, 3)).mean() > 0.99
    assert len(np.unique(one[:, 0, 0, 0])) > 1900
    if spread is not None:
        # Sums of independent normal numbers: sigma of each channel.
        noise = (one - image)[:, 0, 0] * 127.5 / 255
        expected = 0.1 * np.sqrt(np.square(VECTORS * VALUES).sum(axis=1))
        np.testing.assert_allclose(spread(noise), expected, rtol=0.08)


def test_jitter_factors_are_uniform():
    """A grey image alone shows the brightness, by its mean."""
    batch = tf.fill((4000, 2, 2, 3), -0.5)  # Pixels of 63.75.
    found = Colors(jitter=0.4)(batch, tf.constant([0, 7])).numpy()
    factors = (found[:, 0, 0, 0] + 1) * 127.5 / 63.75
    assert factors.min() >= 0.6 - 1e-5 and factors.max() <= 1.4 + 1e-5
    # A uniform number in [0.6, 1.4] has the deviation 0.8 / sqrt(12).
    assert abs(factors.mean() - 1) < 5 * 0.8 / np.sqrt(12 * 4000)
    assert abs(factors.std() - 0.8 / np.sqrt(12)) < 0.01


def test_colors_of_a_data_set_repeat_from_any_epoch(images):
    def load(**options):
        return datasets.load("fashion_mnist_mini", batch_size=3000, **options)

    changed = load(color_jitter=0.4)
    straight = list(changed.train_from(0).take(4).as_numpy_iterator())
    resumed = list(load(color_jitter=0.4).train_from(1).take(2).as_numpy_iterator())
    for (x, y), (same_x, same_y) in zip(straight[2:], resumed):
        np.testing.assert_array_equal(x, same_x)
        np.testing.assert_array_equal(y, same_y)
    # Crops, mirror images and order are those without.
    plain, labels = next(load().train_from(0).as_numpy_iterator())
    np.testing.assert_array_equal(labels, straight[0][1])
    grey = Colors(jitter=0.4)(tf.constant(plain), tf.constant([0, 0], tf.int64))
    np.testing.assert_allclose(straight[0][0], grey, atol=1e-6)
    # Without augment alone, and not in the test.
    alone = next(load(color_jitter=0.4, augment=False).train.as_numpy_iterator())[0]
    assert alone.shape == plain.shape and (alone.min(axis=(1, 2, 3)) > -1).any()
    np.testing.assert_array_equal(changed.test_arrays()[0], load().test_arrays()[0])


def test_default_jitter_of_images_of_any_size_is_a_number_of_its_own(photos):
    """None is what augment did before; a number changes colors after the crops."""

    def first(**options):
        shape = (16, 16, 3)
        data = datasets.load(photos, batch_size=8, image_shape=shape, **options)
        return next(data.train_from(0).as_numpy_iterator())[0]

    usual, none, plain = first(), first(color_jitter=0.0), first(augment=False)
    assert not np.array_equal(usual, none)
    some = first(color_jitter=0.3)
    np.testing.assert_allclose(
        some,
        Colors(jitter=0.3)(tf.constant(none), tf.constant([0, 0], tf.int64)),
        atol=1e-6,
    )
    alone = first(color_jitter=0.3, augment=False)
    np.testing.assert_allclose(
        alone,
        Colors(jitter=0.3)(tf.constant(plain), tf.constant([0, 0], tf.int64)),
        atol=1e-6,
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images of two classes with colors, of different sizes."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir()
        for index in range(12):
            pixels = random.integers(0, 256, (18 + index, 20, 3), np.uint8)
            content = tf.io.encode_png(pixels).numpy()
            (folder / name / f"{index}.png").write_bytes(content)
    return str(folder)


def test_one_image_is_jittered_as_in_earlier_versions(photos):
    """In every bit, so that a run of theirs is resumed exactly."""
    data = datasets.load(photos, batch_size=8, image_shape=(16, 16, 3), seed=5)
    images = next(data.train_from(2).as_numpy_iterator())[0]
    factors = [tf.constant(f) for f in (0.9, 1.2, 0.7)]
    image = tf.constant((images[0] + 1) * 127.5)
    x = image * factors[0]
    mean = tf.reduce_mean(x)
    x = mean + factors[1] * (x - mean)
    grey = tf.image.rgb_to_grayscale(x)
    expected = tf.clip_by_value(grey + factors[2] * (x - grey), 0.0, 255.0)
    np.testing.assert_array_equal(colors.jittered(image, factors), expected)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"pca_noise": 0.1}, "are grey. Leave out pca_noise, which change colors"),
        ({"hsv_jitter": 0.1}, "are grey. Leave out hsv_jitter"),
    ],
)
def test_grey_images_have_no_colors_to_change(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.load("fashion_mnist_mini", **options)


def test_arrays_have_no_colors(tmp_path):
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", inputs=np.ones((4, 2)), labels=[0, 1, 0, 1])
    with pytest.raises(
        ValueError, match=r"which have no colors\. Leave out color_jitt"
    ):
        datasets.load(str(tmp_path), batch_size=2, color_jitter=0.1)
