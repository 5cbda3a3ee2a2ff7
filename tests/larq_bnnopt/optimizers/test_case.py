"""CaseOptimizer: routing, saving, resuming."""

import subprocess
import sys
import textwrap

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
BINARY = {
    "kernel_quantizer": lq.quantizers.NoOp(precision=1),
    "kernel_initializer": zx.initializers.BernoulliSign(seed=1),
}


def network():
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [
            tf.keras.Input((8,)),
            lq.layers.QuantDense(16, **BINARY),
            tf.keras.layers.BatchNormalization(),
            lq.layers.QuantDense(16, input_quantizer="ste_sign", **BINARY),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Dense(2),
        ]
    )


def cosine(rate):
    return tf.keras.optimizers.schedules.CosineDecay(rate, 24)


def case_optimizer(binary=None):
    binary = binary or Diode(cosine(1.0), alpha=0.5, beta=0.8)
    return CaseOptimizer(
        (Diode.is_binary_variable, binary),
        default_optimizer=tf.keras.optimizers.Adam(cosine(0.01)),
    )


def compiled(optimizer=None):
    model = network()
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or case_optimizer(), loss)
    return model


def train(model, epochs):
    model.fit(X, Y, epochs=epochs, batch_size=16, shuffle=False, verbose=0)


def kernels(model):
    return [v.numpy() for v in model.trainable_variables if "kernel" in v.name]


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
    "diode": lambda: Diode(cosine(1.0), alpha=0.5, beta=0.8, on_zero="random"),
    "filter": lambda: GradientFilter(alpha=cosine(0.1)),
    "filter_order_1": lambda: GradientFilter(alpha=0.1, order=1, name="renamed"),
    "iir": lambda: IIRFilter([0.1, 0.1], [1.0, -0.8, 0.2]),
    "bop": lambda: Bop(threshold=1e-3, gamma=cosine(0.1)),
    "bop_second_order": lambda: Bop2ndOrder(
        1e-2, gamma=0.1, sigma=0.1, bias_correction=True
    ),
}


@pytest.mark.parametrize(
    "binary, way",
    [
        pytest.param(
            binary,
            way,
            id=f"{name}-{way}",
            marks=[] if name == "diode" or way == "keras" else pytest.mark.slow,
        )
        for name, binary in RESUMED.items()
        for way in ("keras", "checkpoint", "weights")
    ],
)
def test_resuming_equals_the_uninterrupted_run(binary, way, tmp_path):
    straight = compiled(case_optimizer(binary()))
    train(straight, 4)
    stopped = compiled(case_optimizer(binary()))
    train(stopped, 2)
    if way == "keras":
        stopped.save(tmp_path / "model.keras")
        resumed = tf.keras.models.load_model(tmp_path / "model.keras")
    elif way == "checkpoint":
        checkpoint = tf.train.Checkpoint(model=stopped, optimizer=stopped.optimizer)
        path = checkpoint.save(tmp_path / "checkpoint")
        resumed = compiled(case_optimizer(binary()))
        tf.train.Checkpoint(model=resumed, optimizer=resumed.optimizer).restore(path)
    else:
        stopped.save_weights(tmp_path / "weights")
        resumed = compiled(case_optimizer(binary()))
        resumed.load_weights(tmp_path / "weights")
    train(resumed, 2)
    for ours, expected in zip(resumed.weights, straight.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), expected.name)
    states = [
        [v.numpy() for optimizer in m.optimizer.optimizers for v in optimizer.variables]
        for m in (resumed, straight)
    ]
    for ours, expected in zip(*states):
        np.testing.assert_array_equal(ours, expected)


def test_reloaded_model_trains_on_in_a_new_process(tmp_path):
    """Larq's CaseOptimizer trains nothing after this, and says nothing."""
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


def test_a_larq_model_trains_with_the_legacy_twin():
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


def test_a_variable_of_nobody_is_named():
    model = compiled(CaseOptimizer((Diode.is_binary_variable, Diode())))
    with pytest.raises(ValueError, match=r"bias.* is claimed by no optimizer"):
        train(model, 1)


def test_a_variable_of_two_is_named():
    model = compiled(
        CaseOptimizer(
            (Diode.is_binary_variable, Diode()),
            (GradientFilter.is_binary_variable, GradientFilter()),
            default_optimizer=tf.keras.optimizers.Adam(),
        )
    )
    with pytest.raises(
        ValueError, match=r"kernel.*claimed by several: Diode, GradientFilter"
    ):
        train(model, 1)


def test_an_optimizer_without_variables_is_named():
    model = tf.keras.Sequential([tf.keras.Input((8,)), tf.keras.layers.Dense(2)])
    model.compile(case_optimizer(), "mse")
    with pytest.raises(ValueError, match="Diode claims no variable"):
        model.fit(X, np.zeros((96, 2)), verbose=0)


def test_variables_without_gradient_are_named():
    optimizer = case_optimizer()
    layer = lq.layers.QuantDense(2, **BINARY)
    layer.build((None, 8))
    kernel, bias = layer.trainable_variables
    optimizer.build([kernel, bias])
    with pytest.warns(UserWarning, match=r"No gradient for .*kernel"):
        optimizer.apply_gradients([(None, kernel), (tf.ones(2), bias)])


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
        ((tf.keras.optimizers.legacy.SGD(),), "larq.optimizers.CaseOptimizer"),
    ],
)
def test_what_is_no_optimizer_is_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        CaseOptimizer((Diode.is_binary_variable, *arguments))


def test_config_round_trip():
    optimizer = case_optimizer()
    copy = CaseOptimizer.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    bare = CaseOptimizer((Diode.is_binary_variable, Diode()))
    assert CaseOptimizer.from_config(bare.get_config()).default_optimizer is None


def test_replicas_stay_equal_and_equal_one_device(two_replicas):
    """Gradients are summed over the replicas before any average or sign."""

    def flat():
        tf.keras.utils.set_random_seed(0)
        return tf.keras.Sequential(
            [
                tf.keras.Input((8,)),
                lq.layers.QuantDense(16, use_bias=False, **BINARY),
                lq.layers.QuantDense(2, use_bias=False, **BINARY),
            ]
        )

    def trained(strategy):
        with strategy.scope():
            model = flat()
            optimizer = CaseOptimizer((Diode.is_binary_variable, Diode(alpha=0.5)))
            model.compile(optimizer, "mse")
        targets = np.eye(2, dtype=np.float32)[Y]
        model.fit(X, targets, epochs=3, batch_size=16, shuffle=False, verbose=0)
        return model

    one = trained(tf.distribute.get_strategy())
    two = trained(two_replicas)
    moved = 0
    for start, ours, expected in zip(flat().weights, two.weights, one.weights):
        first, second = ours.latent_variable.values
        np.testing.assert_array_equal(first.numpy(), second.numpy())
        np.testing.assert_array_equal(ours.numpy(), expected.numpy())
        moved += (start.numpy() != expected.numpy()).sum()
    assert moved > 10
