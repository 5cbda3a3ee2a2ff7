"""Label smoothing, compared with Keras's loss of one-hot labels."""

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt.recipes.losses import Crossentropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_smoothed_labels_equal_those_of_keras(smoothing):
    generator = np.random.default_rng(0)
    outputs = generator.dirichlet(np.ones(7), size=20).astype(np.float32)
    labels = generator.integers(0, 7, 20)
    keras = tf.keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    expected = float(keras(np.eye(7, dtype=np.float32)[labels], outputs))
    loss = Crossentropy(smoothing)
    assert float(loss(labels, outputs)) == pytest.approx(expected, rel=1e-6)
    # Data sets have labels in a column, too.
    column = float(loss(labels[:, np.newaxis], outputs))
    assert column == pytest.approx(expected, rel=1e-6)
    again = tf.keras.losses.deserialize(tf.keras.losses.serialize(loss))
    assert isinstance(again, Crossentropy) and again.label_smoothing == smoothing
