"""Sparse gradients: equal to dense ones in every bit, or of the rows seen alone."""

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from larq_bnnopt import optimizers
from larq_bnnopt.optimizers import legacy

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
every_optimizer = pytest.mark.parametrize(
    "kind, arguments",
    [
        pytest.param(getattr(module, name), arguments, id=f"{case}-{api}")
        for case, (name, arguments) in OPTIMIZERS.items()
        for api, module in (("new", optimizers), ("legacy", legacy))
        if hasattr(module, name)
    ],
)
jit_or_not = pytest.mark.parametrize("jit", [True, False], ids=["jit", "plain"])
# Rounding draws a random number a weight, as an average of zero may.
jit_and_state = pytest.mark.parametrize(
    "jit, state_dtype",
    [(True, "float32"), (False, "bfloat16")],
    ids=["jit-float32", "plain-bfloat16"],
)


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


@every_optimizer
@jit_and_state
def test_a_sparse_step_is_the_dense_step_in_every_bit(
    kind, arguments, jit, state_dtype
):
    """Rows are summed before a sign is taken, and rows that are not there decay."""
    options = {**arguments, "jit_compile": jit, "state_dtype": state_dtype}
    if "on_zero" in kind(**arguments).get_config():
        options["on_zero"] = "random"
    one, other = kind(**options), kind(**options)
    first, second = table(), table()
    for gradient in batches():
        one.apply_gradients([(dense(gradient), first)])
        other.apply_gradients([(gradient, second)])
        assert bits(one, first) == bits(other, second)
    assert (first.numpy() != table().numpy()).any()
