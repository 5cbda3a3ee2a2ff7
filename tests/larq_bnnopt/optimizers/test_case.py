"""CaseOptimizer: who trains which variable, saving, resuming."""

import functools
import subprocess
import sys
import textwrap
import types
import warnings

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
    IIRFilter,
    legacy,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 8)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def binary():
    """Arguments of a layer; the quantizer is a layer with the current policy."""
    return {
        "kernel_quantizer": lq.quantizers.NoOp(precision=1),
        "kernel_initializer": zx.initializers.BernoulliSign(seed=1),
    }


def network():
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [
            tf.keras.Input((8,)),
            lq.layers.QuantDense(16, **binary()),
            tf.keras.layers.BatchNormalization(),
            lq.layers.QuantDense(16, input_quantizer="ste_sign", **binary()),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Dense(2),
        ]
    )


def cosine(rate):
    return tf.keras.optimizers.schedules.CosineDecay(rate, 24)


NEW = types.SimpleNamespace(
    CaseOptimizer=CaseOptimizer,
    Diode=Diode,
    GradientFilter=GradientFilter,
    IIRFilter=IIRFilter,
    Bop=Bop,
    Bop2ndOrder=Bop2ndOrder,
    keras=tf.keras.optimizers,
    name="new",
)
LEGACY = types.SimpleNamespace(
    CaseOptimizer=legacy.CaseOptimizer,
    Diode=legacy.Diode,
    GradientFilter=legacy.GradientFilter,
    IIRFilter=legacy.IIRFilter,
    Bop=lq.optimizers.Bop,
    Bop2ndOrder=legacy.Bop2ndOrder,
    keras=tf.keras.optimizers.legacy,
    name="legacy",
)
both_apis = pytest.mark.parametrize("api", [NEW, LEGACY], ids=["new", "legacy"])
both_apis_in_full = pytest.mark.parametrize(
    "api", [NEW, pytest.param(LEGACY, marks=pytest.mark.slow)], ids=["new", "legacy"]
)


def case_optimizer(flips=None, api=NEW, **options):
    flips = flips or api.Diode(cosine(1.0), alpha=0.5, beta=0.8)
    return api.CaseOptimizer(
        (Diode.is_binary_variable, flips),
        default_optimizer=api.keras.Adam(cosine(0.01)),
        **options,
    )


def compiled(optimizer=None, model=None):
    model = model or network()
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or case_optimizer(), loss)
    return model


def train(model, epochs, initial_epoch=0, callbacks=()):
    model.fit(
        X,
        Y,
        epochs=epochs,
        initial_epoch=initial_epoch,
        batch_size=16,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


def kernels(model):
    return [v.numpy() for v in model.trainable_variables if "kernel" in v.name]


def state(model):
    """All weights and the state of all optimizers, as arrays."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    kept = (
        optimizer.weights
        if isinstance(optimizer, legacy.CaseOptimizer)
        else optimizer.variables
    )
    return [v.numpy() for v in [*model.weights, *kept]]


def assert_same(ours, expected):
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected):
        np.testing.assert_array_equal(one, other)


def test_every_variable_is_trained_and_binary_ones_stay_binary():
    model = compiled()
    before = [v.numpy() for v in model.trainable_variables]
    train(model, 2)
    for variable, old in zip(model.trainable_variables, before):
        assert (variable.numpy() != old).any(), variable.name
    for kernel in kernels(model)[:2]:
        assert set(kernel.ravel()) == {-1.0, 1.0}
    assert int(model.optimizer.iterations) == 12


RESUMED = {
    "diode": lambda api: case_optimizer(
        api.Diode(cosine(1.0), alpha=0.5, beta=0.8, on_zero="random"), api
    ),
    "filter": lambda api: case_optimizer(api.GradientFilter(alpha=cosine(0.1)), api),
    "filter_order_1": lambda api: case_optimizer(
        api.GradientFilter(alpha=0.1, order=1, name="renamed"), api
    ),
    "iir": lambda api: case_optimizer(api.IIRFilter([0.1, 0.1], [1.0, -0.8, 0.2]), api),
    "bop": lambda api: case_optimizer(api.Bop(threshold=1e-3, gamma=cosine(0.1)), api),
    "bop_second_order": lambda api: case_optimizer(
        api.Bop2ndOrder(1e-2, gamma=0.1, sigma=0.1, bias_correction=True), api
    ),
    "bfloat16": lambda api: case_optimizer(
        api.Diode(cosine(1.0), alpha=0.5, beta=0.8, state_dtype="bfloat16"), api
    ),
    # Two of five batches are in the sums after the 12 batches of two epochs.
    "accumulated": lambda api: case_optimizer(api=api, accumulate_steps=5),
    "mixed": lambda api: case_optimizer(api=api),
}
WAYS = {
    "new": ("keras", "h5", "checkpoint", "weights", "backup"),
    "legacy": ("h5", "checkpoint", "weights", "backup"),
}
# These run every time; the others are marked slow.
OFTEN = {
    ("new", "diode", "keras"),
    ("new", "accumulated", "keras"),
    ("legacy", "diode", "h5"),
}


@pytest.fixture
def policy(request):
    name = "mixed_float16" if "mixed" in request.node.callspec.id else "float32"
    tf.keras.mixed_precision.set_global_policy(name)
    yield
    tf.keras.mixed_precision.set_global_policy("float32")


@functools.cache
def uninterrupted(api, name):
    model = compiled(RESUMED[name](NEW if api == "new" else LEGACY))
    train(model, 4)
    return state(model)


class Stop(tf.keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    "api, name, way",
    [
        pytest.param(
            api,
            name,
            way,
            id=f"{api.name}-{name}-{way}",
            marks=[] if (api.name, name, way) in OFTEN else pytest.mark.slow,
        )
        for api in (NEW, LEGACY)
        for name in RESUMED
        for way in WAYS[api.name]
        # Keras itself loses a LossScaleOptimizer's state in HDF5 files.
        if (name, way) != ("mixed", "h5")
    ],
)
def test_resuming_equals_the_uninterrupted_run(api, name, way, tmp_path):
    make = functools.partial(RESUMED[name], api)
    stopped = compiled(make())
    if way == "backup":
        backup = functools.partial(
            tf.keras.callbacks.BackupAndRestore, tmp_path / "backup"
        )
        with pytest.raises(KeyboardInterrupt):
            train(stopped, 4, callbacks=[backup(), Stop()])
        resumed = compiled(make())
        train(resumed, 4, callbacks=[backup()])
    else:
        train(stopped, 2)
        if way in ("keras", "h5"):
            stopped.save(tmp_path / f"model.{way}")
            resumed = tf.keras.models.load_model(tmp_path / f"model.{way}")
        elif way == "checkpoint":
            checkpoint = tf.train.Checkpoint(model=stopped, optimizer=stopped.optimizer)
            path = checkpoint.save(tmp_path / "checkpoint")
            resumed = compiled(make())
            tf.train.Checkpoint(model=resumed, optimizer=resumed.optimizer).restore(
                path
            )
        else:
            stopped.save_weights(tmp_path / "weights")
            resumed = compiled(make())
            resumed.load_weights(tmp_path / "weights")
        train(resumed, 2)
    assert_same(state(resumed), uninterrupted(api.name, name))


@pytest.mark.parametrize(
    "api, way",
    [
        pytest.param(NEW, "tf", marks=pytest.mark.slow),
        pytest.param(LEGACY, "tf", marks=pytest.mark.slow),
        (LEGACY, "keras"),
    ],
    ids=["new-savedmodel", "legacy-savedmodel", "legacy-keras"],
)
def test_formats_without_the_state_warn_and_all_variables_train(api, way, tmp_path):
    stopped = compiled(case_optimizer(api=api))
    train(stopped, 2)
    path = tmp_path / ("model.keras" if way == "keras" else "model")
    stopped.save(path, save_format=way)
    model = tf.keras.models.load_model(path)
    before = [v.numpy() for v in model.trainable_variables]
    with pytest.warns(
        UserWarning, match=r"taken 12 steps .* averages of Diode, Adam\. .*\.h5"
    ):
        train(model, 1)
    for variable, old in zip(model.trainable_variables, before):
        assert (variable.numpy() != old).any(), variable.name
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, 1)


@pytest.mark.slow
@both_apis
def test_mixed_precision_in_hdf5_names_the_remedy(api, tmp_path):
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = compiled(case_optimizer(api=api))
        train(model, 1)
        model.save(tmp_path / "model.h5")
        with pytest.raises(ValueError, match="get_custom_objects"):
            tf.keras.models.load_model(tmp_path / "model.h5")
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


@both_apis_in_full
def test_layers_that_are_unfrozen_later_are_trained(api, tmp_path):
    """And the other averages stay, in the order that a file needs."""
    model = network()
    model.layers[0].trainable = False
    optimizer = case_optimizer(api=api)
    compiled(optimizer, model)
    frozen = model.layers[0].kernel.numpy()
    train(model, 1)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), frozen)
    kept = slot(api, optimizer, model.layers[2].kernel)
    model.layers[0].trainable = True
    compiled(optimizer, model)
    optimizer_state = slot(api, optimizer, model.layers[2].kernel)
    np.testing.assert_array_equal(optimizer_state, kept)
    train(model, 1)
    assert (model.layers[0].kernel.numpy() != frozen).any()
    model.save(tmp_path / "model.h5")
    loaded = tf.keras.models.load_model(tmp_path / "model.h5")
    train(loaded, 1)
    train(model, 1)
    assert_same(state(loaded), state(model))


def slot(api, optimizer, variable):
    """The average m of Diode for a variable."""
    diode = optimizer.optimizers[0]
    if api is LEGACY:
        return diode.get_slot(variable, "m").numpy()
    return diode._state[diode._index_dict[diode._var_key(variable)]][1].numpy()


@pytest.mark.slow
@both_apis
def test_a_second_model_is_trained_from_a_state_of_its_own(api, tmp_path):
    optimizer = case_optimizer(api.Diode(alpha=0.5, beta=0.8), api)
    train(compiled(optimizer), 1)
    second = compiled(optimizer)
    start = [v.numpy() for v in second.trainable_variables]
    assert not slot_or_zero(api, optimizer, second.layers[0].kernel).any()
    with pytest.warns(UserWarning, match=r"another model at step \d+: its schedules"):
        train(second, 1)
    for variable, old in zip(second.trainable_variables, start):
        assert (variable.numpy() != old).any(), variable.name
    second.save(tmp_path / "model.h5")
    loaded = tf.keras.models.load_model(tmp_path / "model.h5")
    train(loaded, 1)
    train(second, 1)
    assert_same(state(loaded), state(second))


def slot_or_zero(api, optimizer, variable):
    try:
        return slot(api, optimizer, variable)
    except KeyError:
        return np.zeros(1)


@both_apis_in_full
def test_accumulated_batches_are_one_batch(api):
    """The mean gradient of 4 batches of 4 is the gradient of a batch of 16."""

    def flat():
        tf.keras.utils.set_random_seed(0)
        return tf.keras.Sequential(
            [
                tf.keras.Input((8,)),
                lq.layers.QuantDense(16, **binary()),
                tf.keras.layers.ReLU(),
                lq.layers.QuantDense(2, **binary()),
            ]
        )

    models = []
    for steps, size in ((1, 16), (4, 4)):
        optimizer = api.CaseOptimizer(
            (Diode.is_binary_variable, api.Diode(alpha=0.5, beta=0.8)),
            default_optimizer=api.keras.SGD(0.01, momentum=0.9),
            accumulate_steps=steps,
        )
        model = compiled(optimizer, flat())
        model.fit(X, Y, batch_size=size, epochs=3, shuffle=False, verbose=0)
        models.append(model)
        assert int(optimizer.iterations) == 18
        assert [int(o.iterations) for o in optimizer.optimizers] == [18, 18]
    for one, other in zip(*(m.trainable_variables for m in models)):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)
    assert (models[0].layers[0].kernel.numpy() != flat().layers[0].kernel.numpy()).any()


def test_a_sum_is_carried_over_the_end_of_an_epoch():
    model = compiled(case_optimizer(accumulate_steps=4))
    train(model, 1)
    assert int(model.optimizer.iterations) == 1
    assert int(model.optimizer.accumulator.count) == 2
    train(model, 1)
    assert int(model.optimizer.iterations) == 3


@pytest.mark.parametrize("steps", [0, -1, 1.5])
def test_accumulating_needs_a_whole_number(steps):
    with pytest.raises(ValueError, match="accumulate_steps must be"):
        case_optimizer(accumulate_steps=steps)


@both_apis_in_full
def test_a_plateau_and_a_schedule_reach_the_rate_of_the_default_optimizer(api):
    optimizer = api.CaseOptimizer(
        (Diode.is_binary_variable, api.Diode()),
        default_optimizer=api.keras.Adam(0.01),
    )
    model = compiled(optimizer)
    plateau = tf.keras.callbacks.ReduceLROnPlateau(
        monitor="loss", factor=0.5, patience=0, min_delta=1e9
    )
    train(model, 3, callbacks=[plateau])
    rate = optimizer.optimizers[-1].learning_rate
    assert float(rate) == pytest.approx(0.01 / 4)
    assert float(optimizer.learning_rate) == float(rate)


@both_apis_in_full
def test_regularizers_and_rescaling_constraints_are_named(api):
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8,)),
            lq.layers.QuantDense(
                8, name="shrunk", kernel_regularizer=tf.keras.regularizers.L2(1e-3),
                **binary(),
            ),
            lq.layers.QuantDense(
                8, name="scaled", kernel_constraint=tf.keras.constraints.UnitNorm(),
                **binary(),
            ),
            lq.layers.QuantDense(
                2, name="clipped", kernel_constraint="weight_clip", **binary()
            ),
            tf.keras.layers.Dense(
                2, name="real", kernel_regularizer=tf.keras.regularizers.L2(1e-3)
            ),
        ]
    )  # fmt: skip
    compiled(case_optimizer(api=api), model)
    with pytest.warns(UserWarning) as caught:
        train(model, 1)
    said = [str(warning.message) for warning in caught]
    assert any("shrunk/kernel" in text and "regularizer" in text for text in said)
    assert any("scaled/kernel" in text and "constraint" in text for text in said)
    assert not any("clipped" in text or "real/" in text for text in said)


@both_apis_in_full
@pytest.mark.parametrize(
    "policy",
    ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)],
)
def test_steps_with_infinite_gradients_are_skipped(api, policy):
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        model = compiled(case_optimizer(api=api))
        train(model, 1)
        before = state(model)[: len(model.weights)]
        trained = [v.ref() for v in model.trainable_variables]
        assert all(v.dtype == tf.float32 for v in model.weights)
        if policy == "mixed_float16":
            bad = X.copy()
            bad[0] = np.inf
            model.train_on_batch(bad[:16], Y[:16])
            for variable, old in zip(model.weights, before):
                if variable.ref() in trained:
                    np.testing.assert_array_equal(variable.numpy(), old)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    for kernel in kernels(model)[:2]:
        assert set(kernel.ravel()) == {-1.0, 1.0}


@both_apis_in_full
def test_several_steps_in_one_execution_are_the_same_steps(api):
    one = compiled(case_optimizer(api=api))
    train(one, 2)
    many = network()
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    many.compile(case_optimizer(api=api), loss, steps_per_execution=3)
    train(many, 2)
    for ours, expected in zip(kernels(many)[:2], kernels(one)[:2]):
        np.testing.assert_array_equal(ours, expected)


def test_reloaded_model_trains_on_in_a_new_process(tmp_path):
    """Larq's CaseOptimizer trains nothing after this, without a warning."""
    straight = compiled()
    train(straight, 4)
    stopped = compiled()
    train(stopped, 2)
    stopped.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    program = """
        import sys
        import larq, numpy as np
        import larq_bnnopt.optimizers, zoo_extensions
        import tensorflow as tf
        folder = sys.argv[1]
        data = np.load(folder + "/data.npz")
        model = tf.keras.models.load_model(folder + "/model.keras")
        model.fit(
            data["x"], data["y"], epochs=2, batch_size=16, shuffle=False, verbose=0
        )
        np.savez(folder + "/after.npz", *[w.numpy() for w in model.weights])
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        cwd=tmp_path,
        check=True,
    )
    after = np.load(tmp_path / "after.npz")
    for index, expected in enumerate(straight.weights):
        ours = after[f"arr_{index}"]
        np.testing.assert_array_equal(ours, expected.numpy(), expected.name)


@pytest.mark.slow
def test_a_larq_model_trains_with_the_legacy_optimizer():
    """The same rule in larq's CaseOptimizer gives the same binary kernels."""
    new = compiled(
        CaseOptimizer(
            (Diode.is_binary_variable, Diode(alpha=0.5, beta=0.8)),
            default_optimizer=tf.keras.optimizers.SGD(0.01),
        )
    )
    old = compiled(
        lq.optimizers.CaseOptimizer(
            (legacy.Diode.is_binary_variable, legacy.Diode(alpha=0.5, beta=0.8)),
            default_optimizer=tf.keras.optimizers.legacy.SGD(0.01),
        )
    )
    for ours, theirs in zip(new.weights, old.weights):
        theirs.assign(ours)
    train(new, 1)
    train(old, 1)
    for ours, theirs in zip(kernels(new)[:2], kernels(old)[:2]):
        np.testing.assert_array_equal(ours, theirs)


def test_keras_callbacks_reach_the_learning_rate():
    model = compiled(
        CaseOptimizer(
            (Diode.is_binary_variable, Diode(alpha=0.5, beta=0.8)),
            default_optimizer=tf.keras.optimizers.Adam(0.01),
        )
    )
    schedule = tf.keras.callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[schedule])
    assert float(model.optimizer.default_optimizer.learning_rate) == 0.25


@both_apis
def test_predicates_are_asked_once_for_each_set_of_variables(api):
    asked = []

    def claims(variable):
        asked.append(variable.name)
        return Diode.is_binary_variable(variable)

    with pytest.warns(UserWarning, match="no registered name"):
        optimizer = api.CaseOptimizer(
            (claims, api.Diode()), default_optimizer=api.keras.Adam(0.01)
        )
    model = compiled(optimizer)
    train(model, 2)
    names = [variable.name for variable in model.trainable_variables]
    assert asked == names
    # Another trace of the same variables asks nobody, another set asks again.
    model.make_train_function(force=True)
    train(model, 1)
    assert asked == names
    model.layers[0].trainable = False
    model.compile(optimizer, model.loss)
    train(model, 1)
    assert asked == names + [variable.name for variable in model.trainable_variables]


def test_a_variable_that_nobody_claims_is_named():
    model = compiled(CaseOptimizer((Diode.is_binary_variable, Diode())))
    with pytest.raises(ValueError, match=r"bias.* is claimed by no optimizer"):
        train(model, 1)


def test_a_variable_that_two_claim_is_named():
    model = compiled(
        CaseOptimizer(
            (Diode.is_binary_variable, Diode()),
            (GradientFilter.is_binary_variable, GradientFilter()),
            default_optimizer=tf.keras.optimizers.Adam(),
        )
    )
    with pytest.raises(
        ValueError,
        match=r"kernel.*claimed by several optimizers: Diode, GradientFilter",
    ):
        train(model, 1)


def test_an_optimizer_without_variables_is_named():
    model = tf.keras.Sequential([tf.keras.Input((8,)), tf.keras.layers.Dense(2)])
    model.compile(case_optimizer(), "mse")
    with pytest.raises(ValueError, match="Diode claims no variable"):
        model.fit(X, np.zeros((96, 2)), verbose=0)


def test_variables_without_gradient_are_named():
    optimizer = case_optimizer()
    layer = lq.layers.QuantDense(2, **binary())
    layer.build((None, 8))
    kernel, bias = layer.trainable_variables
    optimizer.build([kernel, bias])
    with pytest.warns(UserWarning, match=r"No gradient for .*kernel"):
        optimizer.apply_gradients([(None, kernel), (tf.ones(2), bias)])


@pytest.mark.slow
def test_an_unregistered_predicate_trains_but_is_not_saved(tmp_path):
    model = compiled(
        CaseOptimizer(
            (lambda variable: Diode.is_binary_variable(variable), Diode()),
            default_optimizer=tf.keras.optimizers.Adam(),
        )
    )
    train(model, 1)
    with pytest.raises(ValueError, match="register_keras_serializable"):
        model.save(tmp_path / "model.keras")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("adam",), "pair 0"),
        ((tf.keras.optimizers.legacy.SGD(),), "legacy.CaseOptimizer"),
    ],
)
def test_other_objects_than_optimizers_are_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        CaseOptimizer((Diode.is_binary_variable, *arguments))


def test_config_round_trip():
    optimizer = case_optimizer()
    copy = CaseOptimizer.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    bare = CaseOptimizer((Diode.is_binary_variable, Diode()))
    assert CaseOptimizer.from_config(bare.get_config()).default_optimizer is None


@both_apis
def test_a_batch_without_a_gradient_counts_as_zero(api):
    """In any order of the gradients, every sum is applied and reset."""
    a, c, s = (tf.Variable(0.0, name=name) for name in "acs")
    optimizer = api.CaseOptimizer(
        default_optimizer=api.keras.SGD(1.0), accumulate_steps=2
    )
    one = tf.constant(1.0)
    for _ in range(10):
        optimizer.apply_gradients([(one, a), (None, c), (one, s)])
        optimizer.apply_gradients([(None, a), (one, c), (one, s)])
    assert [float(v) for v in (a, c, s)] == [-5.0, -5.0, -10.0]


@both_apis
def test_accumulating_for_alternating_variables_is_refused(api):
    a, c = tf.Variable(0.0, name="a"), tf.Variable(0.0, name="c")
    optimizer = api.CaseOptimizer(
        default_optimizer=api.keras.SGD(1.0), accumulate_steps=2
    )
    one = tf.constant(1.0)
    optimizer.apply_gradients([(one, a)])
    with pytest.raises(ValueError, match="1 of 2 batches were summed for other"):
        optimizer.apply_gradients([(one, c)])


@both_apis
@pytest.mark.parametrize("dtype", [tf.float64, tf.float16])
def test_other_types_of_weights_accumulate(api, dtype):
    variable = tf.Variable(tf.zeros(3, dtype))
    optimizer = api.CaseOptimizer(
        default_optimizer=api.keras.SGD(1.0), accumulate_steps=2
    )
    for value in (1.0, 2.0):
        optimizer.apply_gradients([(tf.fill(3, tf.constant(value, dtype)), variable)])
    np.testing.assert_array_equal(variable.numpy(), -1.5)


@pytest.mark.slow
@both_apis
def test_checkpoints_before_and_after_unfreezing_hold_all_averages(api, tmp_path):
    model = network()
    model.layers[0].trainable = False
    optimizer = case_optimizer(api=api)
    compiled(optimizer, model)
    train(model, 1)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    checkpoint.save(tmp_path / "frozen")
    model.layers[0].trainable = True
    compiled(optimizer, model)
    train(model, 1)
    path = checkpoint.save(tmp_path / "free")
    train(model, 1)
    resumed = compiled(case_optimizer(api=api))
    tf.train.Checkpoint(model=resumed, optimizer=resumed.optimizer).restore(path)
    train(resumed, 1)
    for ours, expected in zip(resumed.weights, model.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())


@pytest.mark.slow
@both_apis
def test_restored_state_is_not_reported_as_lost(api, tmp_path):
    model = network()
    model.layers[0].trainable = False
    compiled(case_optimizer(api=api), model)
    train(model, 1)
    model.save(tmp_path / "model.h5")
    loaded = tf.keras.models.load_model(tmp_path / "model.h5")
    loaded.layers[0].trainable = True
    compiled(loaded.optimizer, loaded)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(loaded, 1)


def test_a_model_that_is_loaded_again_and_again_causes_no_warning(tmp_path):
    """Loading shortens the names of larq's kernels, or restores them."""
    model = tf.keras.Sequential(
        [tf.keras.Input((8,)), lq.layers.QuantDense(8, name="one", **binary())]
    )
    model.compile(
        CaseOptimizer(
            (Diode.is_binary_variable, Diode()),
            default_optimizer=tf.keras.optimizers.Adam(),
        ),
        "mse",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*averages for", UserWarning)
        for _ in range(4):
            model.fit(X, X, verbose=0)
            model.save(tmp_path / "model.keras")
            model = tf.keras.models.load_model(tmp_path / "model.keras")


@pytest.mark.slow
def test_averages_of_an_exchanged_layer_are_named(tmp_path):
    """Saved after another layer was frozen, without a step in between."""
    tf.keras.utils.set_random_seed(0)
    layers = [
        lq.layers.QuantDense(8, name=name, use_bias=False, **binary())
        for name in ("one", "two", "three")
    ]
    model = tf.keras.Sequential([tf.keras.Input((8,)), *layers])
    layers[0].trainable = False
    model.compile(CaseOptimizer((Diode.is_binary_variable, Diode())), "mse")
    model.fit(X, X, verbose=0)
    layers[0].trainable, layers[1].trainable = True, False
    model.compile(model.optimizer, "mse")
    model.save(tmp_path / "model.h5")
    loaded = tf.keras.models.load_model(tmp_path / "model.h5")
    with pytest.warns(UserWarning, match="two/kernel.* averages for one/kernel"):
        loaded.fit(X, X, verbose=0)


@both_apis_in_full
def test_an_optimizer_that_is_built_already_is_rebuilt(api):
    """Such as one that trained a part of the model in another CaseOptimizer."""
    model = network()
    model.layers[0].trainable = False
    first = case_optimizer(api=api)
    compiled(first, model)
    train(model, 1)
    model.layers[0].trainable = True
    flips, real = first.optimizers
    again = api.CaseOptimizer((Diode.is_binary_variable, flips), default_optimizer=real)
    compiled(again, model)
    before = model.layers[0].kernel.numpy()
    kept = slot(api, again, model.layers[2].kernel)
    assert kept.any()
    train(model, 1)
    assert (model.layers[0].kernel.numpy() != before).any()
    assert [int(o.iterations) for o in again.optimizers] == [12, 12]


DEFAULTS = ["Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "RMSprop", "SGD"]


@pytest.mark.slow
@both_apis
@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("way", ["keras", "h5"])
def test_every_optimizer_of_keras_resumes_beside_ours(api, name, way, tmp_path):
    if api is LEGACY and way == "keras":
        pytest.skip("Keras stores no legacy optimizer in .keras files.")

    def make():
        return api.CaseOptimizer(
            (Diode.is_binary_variable, api.Diode(alpha=0.5, beta=0.8)),
            default_optimizer=getattr(api.keras, name)(0.01),
        )

    straight = compiled(make())
    train(straight, 2)
    stopped = compiled(make())
    train(stopped, 1)
    stopped.save(tmp_path / f"model.{way}")
    resumed = tf.keras.models.load_model(tmp_path / f"model.{way}")
    train(resumed, 1)
    for ours, expected in zip(resumed.weights, straight.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())


@both_apis
def test_a_default_optimizer_may_have_nothing_to_train(api):
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8,)),
            lq.layers.QuantDense(8, use_bias=False, **binary()),
        ]
    )
    optimizer = api.CaseOptimizer(
        (Diode.is_binary_variable, api.Diode()), default_optimizer=api.keras.Nadam()
    )
    model.compile(optimizer, "mse")
    before = model.layers[0].kernel.numpy()
    model.fit(X, X, verbose=0)
    assert (model.layers[0].kernel.numpy() != before).any()


def test_a_penalty_on_another_layer_causes_no_warning():
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8,)),
            tf.keras.layers.Dense(8, name="first_conv", kernel_regularizer="l2"),
            lq.layers.QuantDense(2, name="conv", **binary()),
        ]
    )
    compiled(case_optimizer(), model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, 1)


class Unregistered(tf.keras.optimizers.SGD):
    pass


@pytest.mark.slow
def test_an_optimizer_that_is_not_registered_is_named(tmp_path):
    model = compiled(
        CaseOptimizer(
            (Diode.is_binary_variable, Diode()), default_optimizer=Unregistered(0.1)
        )
    )
    train(model, 1)
    model.save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="optimizer 'Unregistered'"):
        tf.keras.models.load_model(tmp_path / "model.h5")
    loaded = tf.keras.models.load_model(
        tmp_path / "model.h5", custom_objects={"Unregistered": Unregistered}
    )
    assert isinstance(loaded.optimizer.default_optimizer, Unregistered)
