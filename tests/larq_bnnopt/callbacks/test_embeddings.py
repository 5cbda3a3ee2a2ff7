"""FlipMonitor counts a table of embeddings as it counts kernels, by name."""

import csv
import warnings

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.callbacks import (
    FlipMonitor,
    Probes,
    binary_kernels,
    read_probes,
    summaries,
)
from larq_bnnopt.callbacks.flips import KernelEpoch
from larq_bnnopt.optimizers import CaseOptimizer, Diode
from zoo_extensions.elastic import BinaryEmbedding, CenteredSign, ElasticLinear

ROWS, CHANNELS, TOKENS = 9, 3, 4
RNG = np.random.default_rng(0)
# The last two rows are in no text, and row 6 in the second batch alone.
IDS = RNG.integers(0, ROWS - 3, size=(16, TOKENS))
IDS[12, 0] = ROWS - 3
LABELS = RNG.integers(0, 2, size=16)


def network(latent=False):
    tf.keras.utils.set_random_seed(0)
    free = lq.quantizers.NoOp(precision=1)
    signs = {} if latent else {"kernel_initializer": zx.initializers.BernoulliSign()}
    rows = {} if latent else {"embeddings_initializer": zx.initializers.BernoulliSign()}
    return tf.keras.Sequential(
        [
            tf.keras.Input((TOKENS,), dtype=tf.int32),
            BinaryEmbedding(
                ROWS,
                CHANNELS,
                CenteredSign(by_row=True) if latent else free,
                name="words",
                **rows,
            ),
            ElasticLinear(
                5, kernel_quantizer=CenteredSign() if latent else free, **signs
            ),
            tf.keras.layers.GlobalAveragePooling1D(),
            tf.keras.layers.Dense(2, use_bias=False),
        ]
    )


def trained(callbacks, latent=False, epochs=2, **options):
    model = network(latent)
    optimizer = tf.keras.optimizers.Adam(0.05)
    if not latent:
        diode = Diode(alpha=0.5, beta=0.5, **options)
        optimizer = CaseOptimizer(
            (Diode.is_binary_variable, diode), default_optimizer=optimizer
        )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    history = model.fit(
        IDS, LABELS, batch_size=8, epochs=epochs, shuffle=False, verbose=0,
        callbacks=callbacks,
    )  # fmt: skip
    return model, history.history


class Signs(tf.keras.callbacks.Callback):
    """Copies the binary weights themselves after each step."""

    def on_train_begin(self, logs=None):
        self.words, self.linear = [], []
        self.on_train_batch_end(0)

    def on_train_batch_end(self, batch, logs=None):
        words, linear = (layer.trainable_weights[0] for layer in self.model.layers[:2])
        for kept, weights in ((self.words, words), (self.linear, linear)):
            # Twice a latent kernel is not quantized again.
            value = tf.identity(tf.convert_to_tensor(weights))
            kept.append((weights.quantizer(value).numpy() > 0).reshape(-1))


@pytest.mark.parametrize("latent", [False, True])
def test_flips_of_a_table_are_counted_by_name(latent, tmp_path):
    """Also about the mean, about which a BERT's latent weights change their sign."""
    signs = Signs()
    path = tmp_path / "flips.csv"
    model, history = trained([signs, FlipMonitor(path)], latent)
    assert list(binary_kernels(model)) == ["words", "elastic_linear"]
    with path.open() as file:
        rows = list(csv.DictReader(file))
    for name, copies in (("words", signs.words), ("elastic_linear", signs.linear)):
        expected = (np.diff(copies, axis=0) != 0).mean(axis=1)
        assert expected.any()
        np.testing.assert_allclose([float(r[name]) for r in rows], expected, rtol=1e-5)
        per_epoch = expected.reshape(2, -1).mean(axis=1)
        np.testing.assert_allclose(history[f"flip_ratio/{name}"], per_epoch)


def test_rows_that_no_batch_used_are_not_dead(tmp_path):
    path = tmp_path / "flips.csv"
    _, history = trained([FlipMonitor(path)])
    unused = 1 - len(np.unique(IDS)) / ROWS
    assert history["unused_ratio/words"] == pytest.approx([unused] * 2)
    assert "unused_ratio/elastic_linear" not in history
    assert history["dead_ratio"] == [0, 0]
    with path.with_name("flips_layers.csv").open() as file:
        words, linear, *_ = csv.DictReader(file)
    assert float(words["unused_ratio"]) == pytest.approx(unused, rel=1e-5)
    assert linear["unused_ratio"] == "" and float(words["dead_ratio"]) == 0


def test_a_used_row_without_a_gradient_is_dead(tmp_path):
    """The loss reads two of three channels."""
    first, *rest = network().layers
    read = tf.keras.layers.Rescaling(tf.constant([0.0, 1.0, 1.0]))
    model = tf.keras.Sequential([first, read, *rest])
    optimizer = CaseOptimizer(
        (Diode.is_binary_variable, Diode()),
        default_optimizer=tf.keras.optimizers.SGD(0.1),
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    monitor = FlipMonitor(tmp_path / "a.csv")
    model.fit(IDS, LABELS, epochs=1, verbose=0, callbacks=[monitor])
    with (tmp_path / "a_layers.csv").open() as file:
        words, _ = csv.DictReader(file)
    assert float(words["dead_ratio"]) == pytest.approx(1 / 3, rel=1e-5)


def test_dead_weights_are_a_share_of_those_that_had_a_chance():
    half_used = KernelEpoch(0.5, 0.5, 0.5, None, unused=0.5)
    dense = KernelEpoch(0.5, 0.0, 0.5, None)
    found = summaries.shares([half_used, dense], np.array([8, 4]))
    assert found["dead_ratio"] == 0.5 * 4 / (4 + 4)
    nothing = KernelEpoch(0.5, None, 0.5, None, unused=1.0)
    assert summaries.shares([nothing, dense], np.array([8, 4]))["dead_ratio"] == 0
    assert "dead_ratio" not in summaries.shares([nothing], np.array([8]))


@pytest.mark.parametrize("embedding_updates", ["dense", "seen_rows"])
def test_probes_record_a_table(embedding_updates, tmp_path):
    """The recorded averages follow the rule from the recorded gradients."""
    path = tmp_path / "flips.csv"
    last = ROWS * CHANNELS - 1
    probes = Probes(weights={"words": [0, last]})
    trained([FlipMonitor(path, probes=probes)], embedding_updates=embedding_updates)
    series = read_probes(tmp_path / "flips_probes.csv")
    used = series["words", 0]
    u = 0.0
    for step, gradient in enumerate(used["gradient"]):
        rows = IDS[8 * (step % 2) :][:8]
        if embedding_updates == "dense" or (rows == 0).any():
            u = 0.5 * u + 0.5 * gradient
        np.testing.assert_allclose(used["u"][step], u, rtol=1e-6)
    assert used["gradient"].any()
    assert not series["words", last]["gradient"].any()


@pytest.mark.slow
def test_a_binary_bert_is_counted_by_name():
    """And its table gets a sparse gradient: else the optimizer would warn."""
    model = zx.create_model(
        "binary_bert_tiny",
        input_shape=(TOKENS,),
        num_classes=2,
        latent_weights=False,
        num_layers=1,
        hidden_size=8,
        num_heads=2,
        intermediate_size=12,
        vocab_size=ROWS,
        max_length=TOKENS,
    )
    diode = Diode(alpha=0.5, beta=0.5, embedding_updates="seen_rows")
    optimizer = CaseOptimizer(
        (Diode.is_binary_variable, diode),
        default_optimizer=tf.keras.optimizers.Adam(0.01),
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    inputs = {
        "input_ids": IDS,
        "attention_mask": np.ones_like(IDS),
        "token_type_ids": np.zeros_like(IDS),
    }
    with warnings.catch_warnings():
        # Probabilities of three tokens are all rounded to 0 at first.
        warnings.filterwarnings("ignore", "No binary weight of layer_0_value")
        history = model.fit(
            inputs, LABELS, batch_size=8, verbose=0, callbacks=[FlipMonitor()]
        ).history
    layers = ("query", "key", "value", "attention_dense", "intermediate", "output")
    names = ["embeddings_word", *(f"layer_0_{name}" for name in layers)]
    assert set(names) <= set(binary_kernels(model))
    ratios = {name: history[f"flip_ratio/{name}"][0] for name in names}
    assert ratios["embeddings_word"] > 0 and sum(map(bool, ratios.values())) > 4
    unused = 1 - len(np.unique(IDS)) / ROWS
    assert history["unused_ratio/embeddings_word"] == pytest.approx([unused])
