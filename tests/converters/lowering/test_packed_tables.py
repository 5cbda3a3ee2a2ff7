"""Tables of +c and -c are bits in a file, which computes the same."""

import numpy as np
import pytest
import tensorflow as tf

from converters import Interpreter
from converters.lowering.packed_tables import with_packed_tables
from converters.runtime import TfliteFile

ROWS, TOKENS = 20, 5
SCALES = {"signs": np.ones(ROWS), "scaled": np.linspace(0, 1.5, ROWS)}


def table(channels, scales):
    signs = np.random.default_rng(0).choice([-1, 1], (ROWS, channels))
    return (signs * scales[:, np.newaxis]).astype(np.float32)


def lookup(values, readers=1):
    """A file that looks up in a table, once or several times."""

    def rows(ids):
        found = [tf.gather(values, ids + index) + 0.5 for index in range(readers)]
        return tf.add_n(found)

    spec = tf.TensorSpec((1, TOKENS), tf.int32, "ids")
    function = tf.function(rows).get_concrete_function(spec)
    return tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()


@pytest.mark.parametrize("backend", ["delegate", "lce"])
@pytest.mark.parametrize("channels", [32, 40, 3])
@pytest.mark.parametrize("kind", SCALES)
def test_rows_are_the_same(kind, channels, backend):
    values = table(channels, SCALES[kind])
    content = lookup(values)
    packed = with_packed_tables(content)
    ids = np.arange(ROWS, dtype=np.int32).reshape(-1, TOKENS)
    result = Interpreter(packed, backend=backend).predict(ids)
    np.testing.assert_array_equal(result, values[ids] + np.float32(0.5))
    file = TfliteFile(packed)
    names = [operator.name for operator in file.operators]
    assert names.count("GATHER") == (1 if kind == "signs" else 2)
    assert names.count("LceDequantize") == 1
    bits = file.data(file.operators[0].inputs[0])
    assert bits.shape == (ROWS, -(-channels // 32)) and bits.dtype == np.int32
    if channels == 40:
        assert len(packed) < len(content)
    assert with_packed_tables(packed) == packed


def unequal():
    values = table(32, SCALES["scaled"])
    values[3, 5] *= 1.1
    return values


@pytest.mark.parametrize(
    "content",
    [lambda: lookup(unequal()), lambda: lookup(table(32, SCALES["signs"]), readers=2)],
    ids=["not_of_one_magnitude", "read_twice"],
)
def test_other_tables_stay(content):
    content = content()
    assert with_packed_tables(content) == content
