"""The progress line of an epoch, with a FlipMonitor among the callbacks."""

import csv
import re

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt.callbacks import FlipMonitor
from larq_bnnopt.callbacks.early_warnings import named

# Some kernels do not flip in so few steps.
pytestmark = pytest.mark.filterwarnings("ignore:No binary weight")
LAYERS = 12
X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3


def wide():
    """Twelve binary layers with names as long as in real networks."""
    tf.keras.utils.set_random_seed(0)
    inputs = tf.keras.Input((4,))
    branches = [
        lq.layers.QuantDense(4, kernel_quantizer="ste_sign", name=name)(inputs)
        for name in NAMES
    ]
    x = tf.keras.layers.BatchNormalization()(tf.keras.layers.Add()(branches))
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(3, "softmax")(x))
    loss = "sparse_categorical_crossentropy"
    model.compile(tf.keras.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    return model


NAMES = [f"stage_{index}_residual_block_convolution" for index in range(LAYERS)]


@pytest.fixture(scope="module")
def model():
    return wide()


def fit(model, verbose, *callbacks, **options):
    return model.fit(
        X, Y, 10, epochs=2, verbose=verbose, callbacks=list(callbacks), **options
    )


def lines(text):
    """The lines on a terminal, each as it was last written."""
    shown = [line.rpartition("\r")[2] for line in text.splitlines()]
    return [line.replace("\b", "").rstrip() for line in shown if line.strip()]


@pytest.mark.parametrize("verbose, validation", [(1, None), (2, (X, Y))])
def test_a_line_shows_the_total_and_fits(verbose, validation, model, capsys):
    fit(model, verbose, FlipMonitor(), validation_data=validation)
    shown = lines(capsys.readouterr().out)
    ends = [line for line in shown if "accuracy" in line and "flips" in line]
    assert len(ends) == 2 and sum("Epoch" in line for line in shown) == 2
    # Keras's own short line has 108 with two metrics and a validation.
    widest = 130 if verbose == 2 and validation is not None else 120
    for line in ends:
        assert len(line) <= widest, line
        assert re.search(r" - loss: .* - accuracy: .* - flips %: [\d.]", line)
        assert "flip_ratio" not in line and "c2i" not in line
        assert ("val_accuracy" in line) == (validation is not None)


def test_one_bar_is_drawn_and_none_with_verbose_0(model, capsys):
    fit(model, 1, FlipMonitor())
    text = capsys.readouterr().out
    assert text.count("Epoch 1/2") == 1 and text.count("flips %") == 2
    assert text.count("ETA") < 2 * 6
    fit(model, 0, FlipMonitor())
    model.evaluate(X, Y, verbose=0)
    assert capsys.readouterr().out == ""


class Names(tf.keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.logs = dict(logs)


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_logs_and_tables_have_every_layer(verbose, model, tmp_path, capsys):
    names_after, table = Names(), tmp_path / "log.csv"
    history = fit(
        model, verbose, FlipMonitor(), tf.keras.callbacks.CSVLogger(table), names_after
    ).history
    layers = [f"flip_ratio/{name}" for name in NAMES]
    with table.open() as file:
        columns = csv.DictReader(file).fieldnames
    for names in (history, names_after.logs, columns):
        assert {*layers, "flip_ratio", "c2i_ratio", "dead_ratio"} <= set(names)
        assert "flips %" not in names
    assert len(history["flip_ratio"]) == 2


def test_the_printed_total_equals_the_logs(model, capsys):
    history = fit(model, 2, FlipMonitor()).history
    shown = re.findall(r"flips %: ([\d.e+-]+)", capsys.readouterr().out)
    for text, ratio in zip(shown, history["flip_ratio"], strict=True):
        assert float(text) == pytest.approx(100 * ratio, abs=1e-4)


def test_without_the_number_of_steps(model, capsys):
    batches = tf.data.Dataset.from_generator(
        lambda: iter([(X[:10], Y[:10])] * 3),
        output_signature=(
            tf.TensorSpec((None, 4), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        ),
    )
    model.fit(batches, epochs=2, verbose=1, callbacks=[FlipMonitor()])
    shown = [line for line in lines(capsys.readouterr().out) if "flips" in line]
    assert len(shown) == 2 and all(line.startswith("3/3") for line in shown[1:])


def test_warnings_name_a_few_of_many_layers():
    assert named(["a"]) == "a" and named(list("abcde")) == "a, b, c, d, e"
    assert named(NAMES).endswith(f"{NAMES[4]} and 7 more")
