"""RAdam against its published formula, PyTorch's numbers, and an interruption."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import schedules
from larq_bnnopt.optimizers import CaseOptimizer, Diode, RAdam

STEPS = 24


def published(gradients, rate=0.1, beta_1=0.9, beta_2=0.999, epsilon=1e-7, above=4):
    """Algorithm 2 of Liu et al. in float64; yields the step of each gradient."""
    m = v = 0.0
    last = 2 / (1 - beta_2) - 1
    for t, gradient in enumerate(np.asarray(gradients, np.float64), start=1):
        v = beta_2 * v + (1 - beta_2) * gradient**2
        m = beta_1 * m + (1 - beta_1) * gradient
        unbiased = m / (1 - beta_1**t)
        rho = last - 2 * t * beta_2**t / (1 - beta_2**t)
        if rho > above:
            inverse = np.sqrt(1 - beta_2**t) / (np.sqrt(v) + epsilon)
            r = np.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
            yield rate * r * unbiased * inverse
        else:
            yield rate * unbiased


def gradients_of(shape, steps=STEPS, seed=1):
    return np.random.default_rng(seed).normal(size=(steps, *shape)).astype(np.float32)


def steps_of(optimizer, gradients):
    """What each gradient subtracts from a weight, in float64."""
    w = tf.Variable(np.zeros_like(gradients[0]))
    for gradient in gradients:
        before = w.numpy().astype(np.float64)
        optimizer.apply_gradients([(tf.constant(gradient), w)])
        yield before - w.numpy()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2},
        {"beta_1": 0.0, "beta_2": 0.7},
        {"jit_compile": False},
        # Never adaptive: rho_t stays below 4.
        {"beta_2": 0.6},
        {"beta_2": 0.5},
        {"beta_2": 0.0},
    ],
)
def test_a_step_is_that_of_the_paper(options):
    options = dict(options)
    gradients = gradients_of((7,))
    found = list(steps_of(RAdam(0.1, **options), gradients))
    options.pop("jit_compile", None)
    expected = list(published(gradients, **options))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    if not options:
        # Steps 1 to 4 are not adaptive; the first adaptive ones are small.
        size = np.abs(expected).mean(axis=1)
        assert size[3] > 10 * size[4] and size[4] < size[-1]


def test_late_steps_become_those_of_adam():
    optimizer, adam = RAdam(0.1, beta_2=0.9), tf.keras.optimizers.Adam(0.1, beta_2=0.9)
    gradients = gradients_of((5,), steps=300)
    *_, found = steps_of(optimizer, gradients)
    *_, expected = steps_of(adam, gradients)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


# What torch.optim.RAdam(lr=0.1, eps=1e-7) of PyTorch 2.13.0, in float64, subtracts from
# two weights for the gradients below.
TORCH = (
    (0.0540302306, 0.000341120008),
    (0.00369080204, 0.000119785531),
    (-0.034202206, 0.000301458208),
    (-0.0432636064, 0.000115930111),
    (-0.0257720128, 0.000295256068),
    (8.21396551e-06, 0.000566342346),
    (0.000682730458, 0.00153125883),
    (0.000559580445, 0.000710869562),
    (-0.00044175096, 0.00177354692),
    (-0.00129843856, 0.000825259157),
    (-0.00126589666, 0.00192028668),
    (-0.000164246876, 0.000960207466),
)


def golden_gradients():
    t = np.arange(1, 13, dtype=np.float64)
    return np.stack([np.cos(t), 0.01 * np.sin(3 * t) + 0.002], axis=1)


def test_a_step_is_that_of_pytorch_but_for_the_first_adaptive_one():
    """PyTorch begins to be adaptive where rho_t > 5, so in step 6 instead of 5."""
    gradients = golden_gradients()
    later = list(published(gradients, above=5))
    np.testing.assert_allclose(later, TORCH, rtol=1e-6)
    found = list(steps_of(RAdam(0.1), gradients.astype(np.float32)))
    others = [step for step in range(12) if step != 4]
    np.testing.assert_allclose(
        np.array(found)[others], np.array(TORCH)[others], rtol=2e-4, atol=1e-7
    )
    assert abs(found[4][0]) < abs(TORCH[4][0]) / 10


def test_sparse_gradients_equal_dense_ones():
    """Also where an index is given twice."""
    dense, sparse = (tf.Variable(tf.ones((5, 2))) for _ in range(2))
    one, other = RAdam(0.1), RAdam(0.1)
    for gradient in gradients_of((3, 2)):
        slices = tf.IndexedSlices(tf.constant(gradient), tf.constant([0, 3, 0]), [5, 2])
        one.apply_gradients([(tf.convert_to_tensor(slices), dense)])
        other.apply_gradients([(slices, sparse)])
        np.testing.assert_allclose(dense.numpy(), sparse.numpy(), rtol=1e-5, atol=1e-6)
    assert (sparse.numpy()[[1, 2, 4]] == 1).all()


def test_decay_and_clipping_are_those_of_keras():
    gradients = 10 * gradients_of((4,), steps=3)
    options = {"weight_decay": 0.1, "clipnorm": 1.0}
    w = tf.Variable(np.full(4, 2.0, np.float32))
    optimizer = RAdam(0.1, **options)
    clipped = [gradient / np.linalg.norm(gradient) for gradient in gradients]
    expected = np.full(4, 2.0)
    for gradient, step in zip(gradients, published(clipped)):
        optimizer.apply_gradients([(tf.constant(gradient), w)])
        expected = expected * (1 - 0.1 * 0.1) - step
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "options", [{"beta_1": 1.0}, {"beta_2": 1.0}, {"beta_2": -0.1}, {"epsilon": 0.0}]
)
def test_a_value_out_of_its_range_is_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        RAdam(**options)


def test_the_configuration_makes_the_same_optimizer():
    rate = schedules.cosine(0.1, 100)
    optimizer = RAdam(rate, beta_1=0.8, beta_2=0.99, epsilon=1e-5, weight_decay=1e-3)
    copy = tf.keras.optimizers.deserialize(tf.keras.optimizers.serialize(optimizer))
    assert type(copy) is RAdam and copy.get_config() == optimizer.get_config()


def network():
    inputs = tf.keras.Input((6, 6, 1))
    x = tf.keras.layers.Conv2D(4, 3)(inputs)
    x = tf.keras.layers.BatchNormalization()(x)
    x = lq.layers.QuantConv2D(
        4,
        3,
        input_quantizer="ste_sign",
        kernel_quantizer=lq.quantizers.NoOp(precision=1),
        kernel_initializer=zx.initializers.BernoulliSign(),
        use_bias=False,
    )(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(3, "softmax")(x))


@pytest.mark.parametrize(
    "suffix, in_case", [("keras", True), ("h5", True), ("keras", False)]
)
def test_a_resumed_training_equals_an_uninterrupted_one(suffix, in_case, tmp_path):
    x = gradients_of((8, 6, 6, 1), steps=12)
    y = np.arange(96).reshape(12, 8) % 3
    tf.keras.utils.set_random_seed(0)
    model = network()
    optimizer = RAdam(schedules.cosine(0.05, 12))
    if in_case:
        optimizer = CaseOptimizer(
            (Diode.is_binary_variable, Diode()), default_optimizer=optimizer
        )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    # One interruption before the first adaptive step, one after it.
    other = model
    for step in range(12):
        if step in (3, 7):
            path = tmp_path / f"{step}.{suffix}"
            other.save(path)
            other = tf.keras.models.load_model(path)
        for one in (model, other):
            one.train_on_batch(x[step], y[step])
    for one, two in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    mine, loaded = (
        [value.numpy() for value in one.optimizer.variables] for one in (model, other)
    )
    assert len(mine) == len(loaded) > 10
    for one, two in zip(mine, loaded, strict=True):
        np.testing.assert_array_equal(one, two)
