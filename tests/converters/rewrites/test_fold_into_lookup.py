"""A function of the rows of an embedding is computed for its table."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from converters.graph.freezing import freeze
from converters.rewrites import rewrite
from converters.runtime.bits import has_binary_rows

layers = tf.keras.layers
ROWS, CHANNELS, TOKENS = 10, 4, 3


def of_rows(rows):
    """What BiT does: signs about the mean, times the mean magnitude of each row."""
    flat = tf.reshape(rows, (-1, CHANNELS))
    scale = tf.reduce_mean(tf.abs(flat), axis=-1, keepdims=True)
    signs = tf.sign(tf.sign(flat - 0.1) + 0.1)
    return tf.reshape(scale * signs, tf.shape(rows))


def positions(rows):
    return rows + np.arange(TOKENS * CHANNELS, dtype=np.float32).reshape(TOKENS, -1)


# A function, whether it is folded, and what the log says where it is not.
FUNCTIONS = {
    "signs_and_scales": (of_rows, True, None),
    "a_vector": (lambda x: tf.abs(x) + np.arange(4, dtype=np.float32), True, None),
    "up_to_positions": (lambda x: positions(tf.abs(x)), True, None),
    "of_positions": (positions, False, None),
    "a_mean_of_tokens": (
        lambda x: x - tf.reduce_mean(x, axis=1, keepdims=True),
        False,
        None,
    ),
    "two_of_them": (
        lambda x: tf.concat([tf.abs(x), tf.square(x)], axis=1),
        False,
        "several functions of its rows are used",
    ),
    "moved_to_other_places": (
        lambda x: tf.abs(tf.reshape(x, (-1, 2, CHANNELS))) * 2.0,
        True,
        None,
    ),
    "signs_that_are_normalized": (
        lambda x: of_rows(x) - tf.reduce_mean(of_rows(x), axis=-1, keepdims=True),
        True,
        None,
    ),
    "transposed": (lambda x: tf.transpose(x, (0, 2, 1)) * 2.0, False, None),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_function_stays(name, caplog):
    function, is_folded, reason = FUNCTIONS[name]
    ids = tf.keras.Input((TOKENS,), dtype=tf.int32)
    table = layers.Embedding(
        ROWS, CHANNELS, embeddings_initializer="normal", name="table"
    )
    model = tf.keras.Model(ids, layers.Lambda(function)(table(ids)))
    frozen = freeze(model)
    changed = frozen.copy()
    with caplog.at_level(logging.DEBUG, "converters.rewrites"):
        done = rewrite(changed, ["fold_into_lookup"])
    assert [entry.changed for entry in done] == [("table",)] * is_folded
    assert reason is None or reason in caplog.text
    given = np.arange(12, dtype=np.int32).reshape(4, TOKENS) % ROWS
    (tensor,) = frozen.inputs.values()
    (result,) = changed.run({tensor: given}, [*frozen.outputs.values()])
    np.testing.assert_allclose(result, model(given), rtol=1e-6)
    if name in ("signs_and_scales", "signs_that_are_normalized"):
        (lookup,) = changed.nodes("GatherV2")
        assert has_binary_rows(changed.constant(lookup.input[0]))
    assert not rewrite(changed, ["fold_into_lookup"])
