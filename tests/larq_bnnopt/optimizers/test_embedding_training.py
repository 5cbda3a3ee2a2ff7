"""Binary embeddings in a training: accumulated, on replicas, skipped, resumed."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import optimizers
from larq_bnnopt.optimizers import CaseOptimizer, Diode, legacy
from zoo_extensions.elastic import BinaryEmbedding

ROWS, CHANNELS, TOKENS = 11, 4, 3
RNG = np.random.default_rng(0)
# The last rows are in no text, and the first is in none of the second half.
IDS = RNG.integers(0, ROWS - 3, size=(24, TOKENS))
IDS[12:] = np.maximum(IDS[12:], 1)
TARGETS = RNG.normal(size=(24, 2)).astype(np.float32)
both_rules = pytest.mark.parametrize("rule", ["dense", "seen_rows"])
# Of a training that takes seconds, one rule with the ordinary tests.
either_rule = pytest.mark.parametrize(
    "rule", [pytest.param("dense", marks=pytest.mark.slow), "seen_rows"]
)
both_apis = pytest.mark.parametrize(
    "module",
    [optimizers, pytest.param(legacy, marks=pytest.mark.slow)],
    ids=["new", "legacy"],
)


def network(**options):
    tf.keras.utils.set_random_seed(0)
    words = BinaryEmbedding(
        ROWS,
        CHANNELS,
        lq.quantizers.NoOp(precision=1),
        embeddings_initializer=zx.initializers.BernoulliSign(seed=1),
        **options,
    )
    return tf.keras.Sequential(
        [
            tf.keras.Input((TOKENS,), dtype=tf.int32),
            words,
            tf.keras.layers.GlobalAveragePooling1D(),
            tf.keras.layers.Dense(2),
        ]
    )


def made(module, rule, binary="Diode", accumulate_steps=1, **options):
    keras = tf.keras.optimizers
    plain = keras.legacy.SGD(0.1) if module is legacy else keras.SGD(0.1)
    averages = {"Diode": {"alpha": 0.5, "beta": 0.8}, "GradientFilter": {"alpha": 0.1}}
    binary = getattr(module, binary)(
        embedding_updates=rule, **averages[binary], **options
    )
    return module.CaseOptimizer(
        (binary.is_binary_variable, binary),
        default_optimizer=plain,
        accumulate_steps=accumulate_steps,
    )


def trained(module, rule, batch_size=4, epochs=2, model=None, **options):
    if model is None:
        model = network()
        model.compile(made(module, rule, **options), "mse")
    model.fit(
        IDS, TARGETS, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0
    )
    return model


def averages(model, index=0):
    optimizer = model.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    table = model.trainable_variables[0]
    found = optimizer.optimizers[index].averages_of(table)
    return {"table": table.numpy(), **{n: v.numpy() for n, v in found.items()}}


def assert_equal(one, other, **tolerance):
    np.testing.assert_array_equal(one["table"], other["table"])
    for name in one:
        np.testing.assert_allclose(one[name], other[name], **tolerance, err_msg=name)


@both_apis
def test_the_predicate_finds_the_table_and_its_scale_is_real(module):
    model = network()
    claimed = [v.name for v in model.trainable_variables if Diode.is_binary_variable(v)]
    assert claimed == [model.layers[0].embeddings.name]
    model.compile(made(module, "dense"), "mse")
    before = model.get_weights()
    trained(module, "dense", model=model, epochs=1)
    table, scale = model.get_weights()[:2]
    assert set(np.unique(table)) == {-1.0, 1.0} and (table != before[0]).any()
    assert (scale[: ROWS - 3] != before[1][: ROWS - 3]).any()


@both_apis
@either_rule
def test_accumulated_batches_are_one_batch(module, rule):
    """Whose rows are those of any of them, and no other."""
    options = {"binary": "GradientFilter", "epochs": 1}
    one = averages(trained(module, rule, batch_size=12, **options))
    parts = averages(trained(module, rule, accumulate_steps=3, **options))
    assert_equal(one, parts, rtol=1e-5, atol=1e-8)
    unseen = sorted(set(range(ROWS)) - set(IDS.ravel()))
    assert unseen and not parts["g"][unseen].any()


@both_rules
def test_accumulated_sparse_gradients_are_dense_ones_in_every_bit(rule):
    words = tf.Variable(np.sign(RNG.normal(size=(ROWS, CHANNELS))).astype(np.float32))
    words = lq.quantized_variable.QuantizedVariable(
        words, lq.quantizers.NoOp(precision=1), precision=1
    )
    twin = tf.Variable(tf.identity(words.latent_variable))
    twin = lq.quantized_variable.QuantizedVariable(
        twin, lq.quantizers.NoOp(precision=1), precision=1
    )
    sparse, dense = (made(optimizers, r, accumulate_steps=2) for r in (rule, "dense"))
    head = tf.Variable(tf.ones(2), name="head")
    for _ in range(6):
        rows = np.concatenate([RNG.permutation(ROWS), RNG.integers(0, ROWS, 5)])
        values = tf.constant(RNG.normal(size=(len(rows), CHANNELS)), tf.float32)
        slices = tf.IndexedSlices(values, tf.constant(rows))
        full = tf.math.unsorted_segment_sum(values, rows, ROWS)
        sparse.apply_gradients([(slices, words), (tf.ones(2), head)])
        dense.apply_gradients([(full, twin), (tf.ones(2), head)])
        one = sparse.optimizers[0].averages_of(words)
        other = dense.optimizers[0].averages_of(twin)
        assert words.numpy().tobytes() == twin.numpy().tobytes()
        for name in one:
            assert one[name].numpy().tobytes() == other[name].numpy().tobytes()


@both_apis
@either_rule
@pytest.mark.parametrize(
    "accumulate_steps", [pytest.param(1, marks=pytest.mark.slow), 2]
)
def test_two_replicas_are_one_device(module, rule, accumulate_steps, two_replicas):
    options = {"accumulate_steps": accumulate_steps, "binary": "GradientFilter"}
    one = trained(module, rule, batch_size=8, epochs=1, **options)
    with two_replicas.scope():
        model = network()
        model.compile(made(module, rule, **options), "mse")
    two = trained(module, rule, batch_size=8, epochs=1, model=model)
    assert_equal(averages(one), averages(two), rtol=1e-4, atol=1e-8)
    for copy in two.trainable_variables[0].values:
        np.testing.assert_array_equal(copy, one.get_weights()[0])


@either_rule
def test_skipped_steps_leave_the_averages_exact(rule):
    """As loss scaling skips them: a step with an infinite gradient is no step."""

    def taken(skipped):
        layer = network().layers[0]
        case = made(optimizers, rule)
        scaled = tf.keras.mixed_precision.LossScaleOptimizer(
            case, initial_scale=1024.0, dynamic_growth_steps=3
        )
        generator = np.random.default_rng(5)
        for step in range(6):
            rows = generator.integers(0, ROWS - 2, size=5)
            values = generator.normal(size=(5, CHANNELS)).astype(np.float32)
            for bad in (True, False) if step in skipped else (False,):
                # In a row that has none else.
                last = ROWS - 1 if bad else rows[0]
                extra = np.full((1, CHANNELS), np.inf if bad else 0.0, np.float32)
                gradient = tf.IndexedSlices(
                    tf.concat([values, extra], 0) * scaled.loss_scale,
                    tf.constant([*rows, last]),
                )
                gradients = [gradient, tf.zeros((ROWS, 1))]
                gradients = scaled.get_unscaled_gradients(gradients)
                scaled.apply_gradients(zip(gradients, layer.trainable_weights))
        table = layer.trainable_weights[0]
        diode = case.optimizers[0]
        return diode, [table, *diode.averages_of(table).values()]

    plain, expected = taken(skipped=())
    skipping, found = taken(skipped=(0, 2, 3))
    assert int(plain.iterations) == int(skipping.iterations) == 6
    for one, other in zip(expected, found):
        assert one.numpy().tobytes() == other.numpy().tobytes()
    assert not found[1].numpy()[-1].any() and np.isfinite(found[1]).all()


@either_rule
@pytest.mark.parametrize(
    "suffix", [".keras", pytest.param(".h5", marks=pytest.mark.slow)]
)
def test_resumed_equals_uninterrupted(rule, suffix, tmp_path):
    """Also between two accumulated batches, with averages that round at random."""
    options = {"state_dtype": "bfloat16", "accumulate_steps": 4, "batch_size": 4}
    whole = trained(optimizers, rule, epochs=4, **options)
    # Six batches: two of them wait for the next epoch.
    first = trained(optimizers, rule, epochs=1, **options)
    path = str(tmp_path / f"model{suffix}")
    first.save(path)
    second = tf.keras.models.load_model(path)
    assert second.optimizer.optimizers[0].embedding_updates == rule
    trained(optimizers, rule, model=second, epochs=3)
    for one, other in zip(whole.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(one, other)
    one, other = averages(whole), averages(second)
    for name in one:
        assert one[name].tobytes() == other[name].tobytes()


def test_a_regularized_table_has_no_rows_to_tell_apart():
    model = network(embeddings_regularizer="l2")
    model.compile(made(optimizers, "seen_rows"), "mse")
    with pytest.warns(UserWarning) as found:
        trained(optimizers, "seen_rows", model=model, epochs=1)
    texts = [str(warning.message) for warning in found]
    assert any("embeddings:0 has a weight regularizer" in text for text in texts)
    assert any("changes nothing: none of its gradients" in text for text in texts)


def test_a_table_of_other_values_is_named():
    words = BinaryEmbedding(
        ROWS, CHANNELS, lq.quantizers.NoOp(precision=1), name="words"
    )
    model = tf.keras.Sequential([tf.keras.Input((TOKENS,)), words])
    model.compile(CaseOptimizer((Diode.is_binary_variable, Diode()),
                  default_optimizer=tf.keras.optimizers.SGD(0.1)), "mse")  # fmt: skip
    with pytest.warns(UserWarning, match="words.* embedding with zoo_ext.*Bernoulli"):
        model.fit(IDS, np.zeros((24, TOKENS, CHANNELS)), verbose=0)
