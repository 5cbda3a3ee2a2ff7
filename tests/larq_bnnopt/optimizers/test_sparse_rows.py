"""Sparse gradients: equal to dense ones in every bit, or of the rows seen alone."""

import re
import warnings

import larq as lq
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from larq_bnnopt import optimizers
from larq_bnnopt.optimizers import Diode, legacy, sparse_rows

STEPS, ROWS, COLUMNS = 6, 7, 5
B, A = (list(map(float, values)) for values in scipy.signal.butter(3, 0.2))
OPTIMIZERS = {
    "diode": ("Diode", {"alpha": 0.8, "beta": 0.95}),
    "filter": ("GradientFilter", {"alpha": 0.05, "gamma": 0.2}),
    "filter_order_1": ("GradientFilter", {"alpha": 0.05, "order": 1}),
    "iir": ("IIRFilter", {"b": B, "a": A}),
    "iir_order_0": ("IIRFilter", {"b": [1.0], "a": [1.0]}),
    "bop": ("Bop", {"gamma": 0.2, "threshold": 0.01}),
    "bop_second_order": (
        "Bop2ndOrder",
        {"gamma": 0.2, "sigma": 0.1, "threshold": 0.05, "bias_correction": True},
    ),
}
# Rounding draws a random number a weight, as an average of zero may.
WAYS = {"jit": (True, "float32"), "plain": (False, "bfloat16")}
every_optimizer = pytest.mark.parametrize(
    "kind, arguments, jit, state_dtype",
    [
        pytest.param(
            getattr(module, name),
            arguments,
            *way,
            id=f"{case}-{api}-{how}",
            # The APIs share what a step computes.
            marks=[pytest.mark.slow] if (api, how) == ("legacy", "plain") else [],
        )
        for case, (name, arguments) in OPTIMIZERS.items()
        for api, module in (("new", optimizers), ("legacy", legacy))
        for how, way in WAYS.items()
        if hasattr(module, name)
    ],
)
both_apis = pytest.mark.parametrize("module", [optimizers, legacy], ids=["new", "old"])


def table(seed=1):
    values = np.sign(np.random.default_rng(seed).normal(size=(ROWS, COLUMNS)))
    return tf.Variable(values.astype(np.float32), name="table")


def batches(steps=STEPS, tokens=6, seed=3, dtype=np.float32):
    """Gradients of `tokens` rows, most of them repeated, some never seen."""
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        rows = generator.integers(0, ROWS - 2, size=tokens)
        values = generator.normal(size=(tokens, COLUMNS)).astype(dtype)
        yield tf.IndexedSlices(tf.constant(values), tf.constant(rows), [ROWS, COLUMNS])


def dense(gradient):
    return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, ROWS)


def bits(optimizer, variable):
    """Every bit that a step changes: weights and averages as they are stored."""
    kept = optimizer.variables
    kept = kept() if callable(kept) and not isinstance(kept, list) else kept
    stored = [variable, *(v for v in kept if v.shape.rank == 2)]
    return [value.numpy().tobytes() for value in stored]


def with_ties(kind, arguments):
    """The options, with random ties where the optimizer has them."""
    has_ties = "on_zero" in kind(**arguments).get_config()
    return {**arguments, "on_zero": "random"} if has_ties else arguments


@every_optimizer
def test_a_sparse_step_is_the_dense_step_in_every_bit(
    kind, arguments, jit, state_dtype
):
    """Rows are summed before a sign is taken, and rows that are not there decay."""
    options = {
        **with_ties(kind, arguments), "jit_compile": jit, "state_dtype": state_dtype
    }  # fmt: skip
    one, other = kind(**options), kind(**options)
    first, second = table(), table()
    for gradient in batches():
        one.apply_gradients([(dense(gradient), first)])
        other.apply_gradients([(gradient, second)])
        assert bits(one, first) == bits(other, second)
    assert (first.numpy() != table().numpy()).any()


@every_optimizer
def test_both_rules_agree_in_every_bit_where_all_rows_are_seen(
    kind, arguments, jit, state_dtype
):
    arguments = {k: v for k, v in arguments.items() if k != "bias_correction"}
    options = {
        **with_ties(kind, arguments), "jit_compile": jit, "state_dtype": state_dtype
    }  # fmt: skip
    one, other = kind(**options), kind(**options, embedding_updates="seen_rows")
    first, second = table(), table()
    for gradient in batches(steps=3):
        rows = tf.concat([gradient.indices, tf.range(ROWS, dtype=tf.int64)], 0)
        values = tf.concat([gradient.values, tf.zeros((ROWS, COLUMNS))], 0)
        gradient = tf.IndexedSlices(values, rows, [ROWS, COLUMNS])
        one.apply_gradients([(gradient, first)])
        other.apply_gradients([(gradient, second)])
        assert bits(one, first) == bits(other, second)


@every_optimizer
def test_rows_that_are_not_seen_keep_every_bit(kind, arguments, jit, state_dtype):
    """And a row that is seen steps as a variable of its own that has these steps."""
    arguments = {k: v for k, v in arguments.items() if k != "bias_correction"}
    options = {**arguments, "jit_compile": jit}
    whole = kind(**options, embedding_updates="seen_rows", state_dtype=state_dtype)
    variable, alone = table(), [tf.Variable(row[None]) for row in table().numpy()]
    parts = [kind(**options) for _ in range(ROWS)]
    seen = set()
    for gradient in batches():
        before = averages(whole, variable)
        whole.apply_gradients([(gradient, variable)])
        rows = set(gradient.indices.numpy())
        seen |= rows
        for old, new in zip(before, averages(whole, variable)):
            others = [row for row in range(ROWS) if row not in rows]
            assert old[others].tobytes() == new[others].tobytes()
        if state_dtype == "float32":
            for row in rows:
                values = dense(gradient)[row][None]
                parts[row].apply_gradients([(values, alone[row])])
            together = np.concatenate([part.numpy() for part in alone])
            np.testing.assert_array_equal(variable.numpy(), together)
    assert 2 < len(seen) < ROWS and (variable.numpy() != table().numpy()).any()


def averages(optimizer, variable):
    """Weights and averages, none of them before the first step."""
    try:
        found = optimizer.averages_of(variable)
    except (AttributeError, KeyError):
        return []
    return [variable.numpy(), *(value.numpy() for value in found.values())]


@both_apis
def test_seen_rows_follow_diode_in_float64(module):
    optimizer = module.Diode(alpha=0.8, beta=0.95, embedding_updates="seen_rows")
    variable = table()
    theta = variable.numpy().astype(np.float64)
    u, m = np.zeros_like(theta), np.zeros_like(theta)
    for gradient in batches():
        optimizer.apply_gradients([(gradient, variable)])
        total = dense(gradient).numpy().astype(np.float64)
        for row in set(gradient.indices.numpy()):
            u[row] = 0.8 * u[row] + 0.2 * total[row]
            m[row] = 0.95 * m[row] + 0.05 * np.sign(u[row])
            theta[row] = np.where(m[row] == 0, theta[row], -np.sign(m[row]))
        np.testing.assert_array_equal(variable.numpy(), theta)
        kept = optimizer.averages_of(variable)
        np.testing.assert_allclose(kept["u"], u, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(kept["m"], m, rtol=1e-5, atol=1e-7)


def test_the_compiled_step_stores_no_dense_gradient():
    """Of the table's size there are the parameters and the results, nothing else."""
    rows, optimizer = 1000, Diode(alpha=0.8, beta=0.95)
    variable = tf.Variable(tf.ones((rows, 16)))
    optimizer.build([variable])

    def large(step, *arguments):
        compiled = tf.function(step, jit_compile=True)
        text = compiled.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")
        entry = text[text.index("\nENTRY ") :]
        found = re.findall(rf"= f32\[{rows},16\]\S* ([a-z-]+)\(", entry)
        return [kind for kind in found if kind not in ("parameter", "bitcast")]

    values, indices = tf.ones((64, 16)), tf.range(64) * 3

    def sparse(values, indices):
        gradient = tf.IndexedSlices(values, indices)
        optimizer.apply_gradients([(gradient, variable)])

    def densified(values, indices):
        gradient = tf.math.unsorted_segment_sum(values, indices, rows)
        optimizer.apply_gradients([(gradient, variable)])

    # The weights, u and m.
    assert len(large(sparse, values, indices)) == 3
    assert len(large(densified, values, indices)) > 3


def test_few_shapes_are_compiled():
    """Whether the number of positions is known when a step is traced or not."""
    spec = [tf.TensorSpec([None, 2]), tf.TensorSpec([None], tf.int64)]

    @tf.function(input_signature=spec)
    def unknown(values, indices):
        return sparse_rows.padded(tf.IndexedSlices(values, indices))

    sizes = set()
    for count in (0, 1, 2, 3, 5, 8, 9, 16, 17):
        values = tf.ones((count, 2))
        indices = tf.range(3, 3 + count, dtype=tf.int64)
        known = sparse_rows.padded(tf.IndexedSlices(values, indices))
        same = unknown(values, indices)
        for one, other in ((known.values, same.values), (known.indices, same.indices)):
            np.testing.assert_array_equal(one, other)
        sizes.add(len(known.indices))
        np.testing.assert_array_equal(
            sparse_rows.expanded(known, 30),
            tf.math.unsorted_segment_sum(values, indices, 30),
        )
    assert sizes == {0, 1, 2, 4, 8, 16, 32}


@both_apis
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in_case"])
@pytest.mark.parametrize(
    "clip", [{"clipvalue": 0.5}, {"clipnorm": 0.1}, {"global_clipnorm": 0.1}]
)
def test_the_sum_of_a_row_is_clipped(module, inside, clip):
    """Keras clips what is summed afterwards, so that repeated rows count for less."""

    def make():
        kind = module.GradientFilter(alpha=0.05, gamma=0.2, **({} if inside else clip))
        if not inside:
            return kind, kind
        case = module.CaseOptimizer((lambda variable: True, kind))
        for name, value in clip.items():
            setattr(case, name, value)
        return case, kind

    with warnings.catch_warnings():
        # Of the predicate, which has no name.
        warnings.simplefilter("ignore", UserWarning)
        (one, first_filter), (other, second_filter) = make(), make()
    first, second = table(), table()
    for gradient in batches(steps=3):
        one.apply_gradients([(dense(gradient), first)])
        other.apply_gradients([(gradient, second)])
        np.testing.assert_array_equal(first.numpy(), second.numpy())
        kept = first_filter.averages_of(first), second_filter.averages_of(second)
        for name in kept[0]:
            np.testing.assert_allclose(kept[0][name], kept[1][name], rtol=1e-5)


@both_apis
def test_what_cannot_work_is_said_in_a_line(module):
    with pytest.raises(ValueError, match=r"must be one of \('dense', 'seen_rows'\)"):
        module.Diode(embedding_updates="rows")
    with pytest.raises(ValueError, match="each row has its own number of them"):
        module.Bop2ndOrder(bias_correction=True, embedding_updates="seen_rows")
    optimizer = module.Diode(embedding_updates="seen_rows")
    with pytest.warns(UserWarning, match='"seen_rows" of Diode changes nothing'):
        optimizer.apply_gradients([(tf.ones((ROWS, COLUMNS)), table())])
    with pytest.raises(AttributeError, match="fixed when it is made"):
        optimizer.embedding_updates = "dense"
    config = optimizer.get_config()
    assert config["embedding_updates"] == "seen_rows"
    del config["embedding_updates"]
    # As files of earlier versions have it.
    assert type(optimizer).from_config(config).embedding_updates == "dense"


def test_larqs_bop_refuses_an_embedding():
    case = legacy.CaseOptimizer(
        (lq.optimizers.Bop.is_binary_variable, lq.optimizers.Bop()),
        default_optimizer=tf.keras.optimizers.legacy.SGD(0.1),
    )
    words, head = table(), tf.Variable(tf.ones(3), name="head")
    words = lq.quantized_variable.QuantizedVariable(words, precision=1)
    with pytest.raises(ValueError, match="larq's Bop, which has no step for the spar"):
        case.apply_gradients([(next(batches()), words), (tf.ones(3), head)])
