"""The properties of larq's optimizers and their scheduler, tested on ours."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.optimizers import (
    Bop,
    Bop2ndOrder,
    CaseOptimizer,
    Diode,
    GradientFilter,
    legacy,
)

EPOCHS, BATCH = 3, 16
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, size=320)
X = (RNG.normal(size=(320, 10)) + 1.5 * (2 * LABELS[:, None] - 1)).astype(np.float32)
Y = np.eye(2, dtype=np.float32)[LABELS]

both_apis = pytest.mark.parametrize("api", ["new", "legacy"])
# What differs in the legacy API is tested beside it.
either_api = pytest.mark.parametrize(
    "api", ["new", pytest.param("legacy", marks=pytest.mark.slow)]
)


def make_case(api, *pairs, default_optimizer=None):
    if api == "legacy":
        return legacy.CaseOptimizer(*pairs, default_optimizer=default_optimizer)
    return CaseOptimizer(*pairs, default_optimizer=default_optimizer)


def adam(api, rate=0.01):
    if api == "legacy":
        return tf.keras.optimizers.legacy.Adam(rate)
    return tf.keras.optimizers.Adam(rate)


def sgd(api, rate=0.1, momentum=0.9):
    if api == "legacy":
        return tf.keras.optimizers.legacy.SGD(rate, momentum=momentum)
    return tf.keras.optimizers.SGD(rate, momentum=momentum)


def bop(api, **arguments):
    """Larq's own Bop is the legacy one."""
    make = lq.optimizers.Bop if api == "legacy" else Bop
    return make(**arguments)


def diode(api, *arguments, **options):
    make = legacy.Diode if api == "legacy" else Diode
    return make(*arguments, **{"alpha": 0.9, "beta": 0.99, **options})


def gradient_filter(api, **arguments):
    make = legacy.GradientFilter if api == "legacy" else GradientFilter
    return make(**arguments)


def second_order(api, **arguments):
    make = legacy.Bop2ndOrder if api == "legacy" else Bop2ndOrder
    return make(**arguments)


def beside_adam(api, binary):
    """A binary optimizer with Adam for the rest."""
    pair = (Diode.is_binary_variable, binary)
    return make_case(api, pair, default_optimizer=adam(api))


def network(trainable_norm=True):
    binary = {
        "kernel_quantizer": lq.quantizers.NoOp(precision=1),
        "kernel_initializer": zx.initializers.BernoulliSign(seed=1),
        "use_bias": False,
    }
    return tf.keras.Sequential(
        [
            tf.keras.Input((10,)),
            lq.layers.QuantDense(20, activation="relu", **binary),
            tf.keras.layers.BatchNormalization(trainable=trainable_norm),
            lq.layers.QuantDense(2, input_quantizer="ste_sign", **binary),
            tf.keras.layers.BatchNormalization(trainable=trainable_norm),
            tf.keras.layers.Activation("softmax"),
        ]
    )


def fit(model, optimizer, epochs=EPOCHS, callbacks=()):
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model.fit(
        X,
        Y,
        epochs=epochs,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    ).history


def assert_trains(optimizer, least_accuracy=0.75, **options):
    """Every variable moves, binary ones stay binary, and the network learns."""
    model = network(**options)
    before = [variable.numpy() for variable in model.trainable_variables]
    history = fit(model, optimizer)
    for old, variable in zip(before, model.trainable_variables):
        new = variable.numpy()
        assert (old != new).any(), variable.name
        if "kernel" in variable.name:
            assert set(new.ravel().tolist()) == {-1.0, 1.0}, variable.name
    assert history["accuracy"][-1] >= least_accuracy


# Binary optimizers by name, so that none is made while tests are collected.
BINARY = {
    "bop": lambda api: bop(api, threshold=1e-4, gamma=0.1),
    "diode": lambda api: diode(api),
    "filter": lambda api: gradient_filter(api, alpha=0.1),
    "bop_second_order": lambda api: second_order(
        api, threshold=1e-2, gamma=0.1, sigma=0.1
    ),
}
every_binary = pytest.mark.parametrize("binary", BINARY)


@both_apis
def test_a_predicate_must_be_callable(api):
    with pytest.raises(TypeError):
        make_case(api, (False, diode(api)))


@both_apis
def test_a_pair_needs_an_optimizer(api):
    with pytest.raises(TypeError):
        make_case(api, (Diode.is_binary_variable, False))


@both_apis
def test_the_default_must_be_an_optimizer(api):
    with pytest.raises(TypeError):
        pair = (Diode.is_binary_variable, diode(api))
        make_case(api, pair, default_optimizer=False)


@both_apis
def test_claims_must_not_overlap(api):
    everything = [(lambda variable: True, diode(api)) for _ in range(2)]
    with pytest.raises(ValueError, match="claimed by several"):
        fit(network(), make_case(api, *everything))


@both_apis
def test_a_missing_default_is_an_error(api):
    """Larq warns and leaves the variables as they are; here it is an error."""
    optimizer = make_case(api, (Diode.is_binary_variable, diode(api)))
    with pytest.raises(ValueError, match="claimed by no optimizer"):
        fit(network(), optimizer)


@both_apis
def test_an_optimizer_that_claims_nothing_is_an_error(api):
    nothing = (lambda variable: False, diode(api))
    optimizer = make_case(api, nothing, default_optimizer=adam(api))
    with pytest.raises(ValueError, match="claims no variable"):
        fit(network(), optimizer)


@both_apis
def test_every_trained_variable_has_its_average_in_one_optimizer(api):
    """Bop has one average for each weight, and so does SGD with momentum."""
    model = network()
    pair = (Diode.is_binary_variable, bop(api, threshold=1e-4, gamma=0.1))
    fit(model, make_case(api, pair, default_optimizer=sgd(api)), epochs=1)
    first, second = model.optimizer.optimizers

    def shapes(variables):
        return sorted(tuple(v.shape) for v in variables if v.shape.rank)

    def kept(optimizer):
        return optimizer.weights if api == "legacy" else optimizer.variables

    trained = model.trainable_variables
    binary = [v for v in trained if Diode.is_binary_variable(v)]
    real = [v for v in trained if not Diode.is_binary_variable(v)]
    assert len(binary) == 2 and len(real) == 4
    assert shapes(kept(first)) == shapes(binary)
    assert shapes(kept(second)) == shapes(real)
    if api == "legacy":
        # The saved state, in the order of the optimizers.
        identities = [id(v) for v in model.optimizer.weights]
        members = [id(v) for o in (first, second) for v in o.weights]
        assert [i for i in identities if i in members] == members


@both_apis
def test_a_checkpoint_restores_the_averages(api, tmp_path):
    variable = tf.Variable([2.0, -1.0])
    inner = sgd(api, 1.0, momentum=0.5)
    optimizer = make_case(api, (lambda variable: True, inner))

    def step():
        optimizer.apply_gradients([(tf.constant([1.0, 3.0]), variable)])

    def momentum():
        kept = inner.weights if api == "legacy" else inner.variables
        (found,) = [v.numpy().tolist() for v in kept if v.shape.rank]
        return found

    step()
    kept, weights = momentum(), variable.numpy().tolist()
    checkpoint = tf.train.Checkpoint(optimizer=optimizer, variable=variable)
    path = checkpoint.save(tmp_path / "checkpoint")
    step()
    assert momentum() != kept and variable.numpy().tolist() != weights
    status = checkpoint.restore(path)
    status.assert_consumed()
    assert momentum() == kept and variable.numpy().tolist() == weights
    step()
    again = momentum()
    checkpoint.restore(path)
    step()
    assert momentum() == again


@both_apis
@pytest.mark.parametrize("binary", ["bop", "diode"])
def test_a_network_learns(api, binary):
    assert_trains(beside_adam(api, BINARY[binary](api)))


@both_apis
def test_a_network_of_binary_variables_alone_trains(api):
    """The default optimizer then has nothing to do, which is no error."""
    optimizer = beside_adam(api, diode(api))
    assert_trains(optimizer, least_accuracy=0, trainable_norm=False)


@both_apis
@pytest.mark.parametrize(
    "binary, replicas",
    [("bop", 1), pytest.param("diode", 2, marks=pytest.mark.slow)],
)
def test_a_network_learns_under_a_loss_scale(api, binary, replicas, two_replicas):
    strategy = two_replicas if replicas == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        optimizer = beside_adam(api, BINARY[binary](api))
        scaled = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
        assert_trains(scaled)


@both_apis
def test_bop_takes_schedules(api):
    def decay(start):
        return tf.keras.optimizers.schedules.InverseTimeDecay(start, 1.0, 0.5)

    assert_trains(beside_adam(api, bop(api, threshold=decay(1e-3), gamma=decay(0.5))))


@both_apis
@every_binary
def test_the_configuration_makes_an_equal_optimizer(api, binary):
    optimizer = beside_adam(api, BINARY[binary](api))
    first = tf.keras.optimizers.serialize(optimizer)
    copy = tf.keras.optimizers.deserialize(first)
    assert type(copy) is type(optimizer)
    assert tf.keras.optimizers.serialize(copy) == first


SCHEDULED = {
    "bop-threshold": (bop, "threshold"),
    "bop-gamma": (bop, "gamma"),
    "diode-learning_rate": (diode, "learning_rate"),
    "diode-alpha": (diode, "alpha"),
    "diode-beta": (diode, "beta"),
    "filter-alpha": (gradient_filter, "alpha"),
    "filter-gamma": (gradient_filter, "gamma"),
    "second_order-threshold": (second_order, "threshold"),
    "second_order-gamma": (second_order, "gamma"),
    "second_order-sigma": (second_order, "sigma"),
}
every_hyperparameter = pytest.mark.parametrize(
    "make, hyperparameter", SCHEDULED.values(), ids=SCHEDULED
)


@both_apis
@every_hyperparameter
@pytest.mark.parametrize("start", ["number", "schedule"])
def test_the_configuration_keeps_numbers_and_schedules(
    api, make, hyperparameter, start
):
    if start == "schedule" and make is diode and hyperparameter != "learning_rate":
        start = "number"  # Diode's alpha and beta are numbers alone.
    value = 5e-4
    if start == "schedule":
        value = tf.keras.optimizers.schedules.PolynomialDecay(5e-4, 100)
    optimizer = make(api, **{hyperparameter: value})
    config = optimizer.get_config()
    copy = type(optimizer).from_config(dict(config))
    assert copy.get_config() == config
    if start == "number":
        assert config[hyperparameter] == pytest.approx(5e-4, rel=1e-6)
    else:
        assert config[hyperparameter]["class_name"] == "PolynomialDecay"


@both_apis
def test_larqs_scheduler_sets_several_in_a_training(api):
    """Both of Bop's, from the value before, beside Adam's rate."""
    binary = bop(api, threshold=0.5, gamma=0.5)
    optimizer = beside_adam(api, binary)
    rate = "lr" if api == "legacy" else "learning_rate"

    def halve(epoch, value):
        return value / 2

    callbacks = [
        lq.callbacks.HyperparameterScheduler(lambda epoch: 1 / (1 + epoch), rate),
        lq.callbacks.HyperparameterScheduler(halve, "gamma", binary),
        lq.callbacks.HyperparameterScheduler(halve, "threshold", binary),
    ]
    callbacks[0].optimizer = optimizer.optimizers[1]
    history = fit(network(), optimizer, callbacks=callbacks)
    assert history["gamma"] == history["threshold"] == [0.25, 0.125, 0.0625]
    np.testing.assert_allclose(history[rate], [1, 1 / 2, 1 / 3], rtol=1e-6)
    for name, value in (("gamma", 0.0625), ("threshold", 0.0625)):
        assert tf.keras.backend.get_value(getattr(binary, name)) == value


@both_apis
@every_hyperparameter
def test_larqs_scheduler_sets_a_hyperparameter(api, make, hyperparameter):
    """Once an epoch, without losing digits."""
    binary = make(api, **{hyperparameter: 0.5})
    scheduler = lq.callbacks.HyperparameterScheduler(
        lambda epoch: 0.9 / (1 + epoch), hyperparameter, binary
    )
    scheduler.set_model(None)
    for epoch in range(EPOCHS):
        logs = {"loss": 0.0}  # larq loses what it adds to an empty one.
        scheduler.on_epoch_begin(epoch)
        scheduler.on_epoch_end(epoch, logs)
        now = tf.keras.backend.get_value(getattr(binary, hyperparameter))
        np.testing.assert_allclose(now, 0.9 / (1 + epoch), rtol=1e-6)
        assert logs[hyperparameter] == now


@either_api
@every_hyperparameter
def test_a_value_set_per_step_is_the_value_of_a_schedule(api, make, hyperparameter):
    """The new value must reach the step that was compiled before."""
    values, boundaries = [0.5, 0.125, 0.03125], [9, 19]
    constants = {hyperparameter: values[0]}
    if make is second_order or make is bop:
        # With a threshold the signs depend on the size of the averages.
        constants = {"threshold": 0.1, "gamma": 0.5, **constants}

    def weights(scheduled, **changes):
        binary = make(api, **{**constants, **changes})
        variable = tf.Variable(tf.ones(40))
        scheduler = lq.callbacks.HyperparameterScheduler(
            lambda step: values[int(np.searchsorted(boundaries, step))],
            hyperparameter,
            binary,
            update_freq="step",
        )
        scheduler.set_model(None)

        @tf.function
        def step(gradient):
            binary.apply_gradients([(gradient, variable)])

        history = []
        for gradient in np.random.default_rng(1).normal(size=(40, 40)):
            if scheduled:
                scheduler.on_batch_begin(0)
            step(tf.constant(gradient, tf.float32))
            history.append(variable.numpy())
        return np.stack(history)

    ours = weights(scheduled=True)
    assert (ours != weights(scheduled=False)).any()
    if make is diode and hyperparameter != "learning_rate":
        return  # Numbers alone: no schedule to compare with.
    table = tf.keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
    expected = weights(scheduled=False, **{hyperparameter: table})
    np.testing.assert_array_equal(ours, expected)


@both_apis
def test_larqs_scheduler_finds_the_rate_of_the_default(api):
    """Without an optimizer it takes the model's, whose rate is Adam's."""
    optimizer = beside_adam(api, diode(api))
    scheduler = lq.callbacks.HyperparameterScheduler(
        lambda step: 0.01 / (1 + step), "learning_rate", update_freq="step"
    )
    fit(network(), optimizer, epochs=1, callbacks=[scheduler])
    last = len(X) // BATCH - 1
    rate = tf.keras.backend.get_value(optimizer.optimizers[1].learning_rate)
    np.testing.assert_allclose(rate, 0.01 / (1 + last), rtol=1e-6)


@both_apis
def test_an_unknown_hyperparameter_is_refused(api):
    binary = diode(api)
    scheduler = lq.callbacks.HyperparameterScheduler(
        lambda epoch: 0.1, "threshold", binary
    )
    with pytest.raises(ValueError, match="threshold"):
        fit(network(), beside_adam(api, binary), callbacks=[scheduler])
