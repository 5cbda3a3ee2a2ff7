"""Flips are counted exactly, for any model, optimizer and execution."""

import csv
import itertools
import re
import warnings

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.callbacks import FlipMonitor, binary_kernels
from larq_bnnopt.optimizers import CaseOptimizer, Diode

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 6)).astype(np.float32)
Y = RNG.integers(0, 3, size=80)


def network(latent):
    tf.keras.utils.set_random_seed(0)
    free = {
        "kernel_quantizer": lq.quantizers.NoOp(precision=1),
        "kernel_initializer": zx.initializers.BernoulliSign(),
    }
    options = {"kernel_quantizer": "ste_sign"} if latent else free
    model = tf.keras.Sequential(
        [
            tf.keras.Input((6,)),
            lq.layers.QuantDense(12, name="first", **options),
            tf.keras.layers.BatchNormalization(),
            lq.layers.QuantDense(8, name="second", **options),
            tf.keras.layers.Dense(3),
        ]
    )
    optimizer = tf.keras.optimizers.Adam(0.05)
    if not latent:
        optimizer = CaseOptimizer(
            (Diode.is_binary_variable, Diode(alpha=0.5, beta=0.5)),
            default_optimizer=optimizer,
        )
    return model, optimizer


def compiled(latent, **options):
    model, optimizer = network(latent)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **options)
    return model


class Signs(tf.keras.callbacks.Callback):
    """Copies all signs after every step: slow and certain."""

    def on_train_begin(self, logs=None):
        self.signs = [self.read()]

    def on_train_batch_end(self, batch, logs=None):
        self.signs.append(self.read())

    def read(self):
        kernels = binary_kernels(self.model).values()
        return [kernel.numpy() >= 0 for kernel in kernels]


def fit(model, callbacks, epochs=3, **options):
    return model.fit(
        X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0,
        callbacks=callbacks, **options,
    )  # fmt: skip


def table(path):
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    return header, np.array(rows, float)


@pytest.mark.parametrize("latent", [False, True])
def test_counts_equal_those_of_full_copies(latent, tmp_path):
    model, signs = compiled(latent), Signs()
    history = fit(model, [FlipMonitor(tmp_path / "flips.csv"), signs]).history
    flips = np.array(
        [
            [(old != new).sum() for old, new in zip(before, after)]
            for before, after in zip(signs.signs, signs.signs[1:])
        ]
    )
    assert flips.sum(axis=0).min() > 10
    sizes = np.array([6 * 12, 12 * 8])
    header, rows = table(tmp_path / "flips.csv")
    assert header == ["epoch", "batch", "flip_ratio", "first", "second"]
    epochs, batches = np.divmod(np.arange(15), 5)
    np.testing.assert_array_equal(rows[:, :2], np.stack([epochs, batches], axis=1))
    np.testing.assert_allclose(rows[:, 2], flips.sum(axis=1) / sizes.sum(), rtol=1e-5)
    np.testing.assert_allclose(rows[:, 3:], flips / sizes, rtol=1e-5)
    means = (flips.sum(axis=1) / sizes.sum()).reshape(3, 5).mean(axis=1)
    np.testing.assert_allclose(history["flip_ratio"], means, rtol=1e-6)
    first = (flips[:, 0] / 72).reshape(3, 5).mean(axis=1)
    np.testing.assert_allclose(history["flip_ratio/first"], first, rtol=1e-6)
    changed = sum(
        (old != new).sum() for old, new in zip(signs.signs[0], signs.signs[-1])
    )
    assert history["c2i_ratio"][-1] == pytest.approx(1 - changed / sizes.sum())


@pytest.mark.parametrize(
    "options",
    [
        {"steps_per_execution": 3},
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
        pytest.param({"run_eagerly": True}, marks=pytest.mark.slow),
    ],
    ids=lambda options: next(iter(options)),
)
def test_counts_are_equal_in_every_execution(options, tmp_path):
    fit(compiled(False), [FlipMonitor(tmp_path / "plain.csv")])
    fit(compiled(False, **options), [FlipMonitor(tmp_path / "other.csv")])
    _, plain = table(tmp_path / "plain.csv")
    _, other = table(tmp_path / "other.csv")
    assert len(plain) == len(other) == 15
    if "jit_compile" not in options:  # XLA may round another way.
        np.testing.assert_array_equal(plain, other)


@pytest.mark.slow
def test_counts_equal_those_of_full_copies_under_xla(tmp_path):
    signs = Signs()
    fit(compiled(False, jit_compile=True), [FlipMonitor(tmp_path / "f.csv"), signs])
    flips = [
        sum((old != new).sum() for old, new in zip(before, after))
        for before, after in zip(signs.signs, signs.signs[1:])
    ]
    _, rows = table(tmp_path / "f.csv")
    np.testing.assert_allclose(rows[:, 2] * (72 + 96), flips, rtol=1e-4)
    assert min(flips) > 0


@pytest.mark.slow
def test_a_custom_training_step_is_restored():
    model = compiled(False)
    plain, calls = model.train_step, []

    def own(data):
        calls.append(1)
        return plain(data)

    model.train_step = own
    fit(model, [FlipMonitor()], epochs=1)
    assert calls and model.train_step is own


def test_a_second_monitor_is_refused():
    with pytest.raises(ValueError, match="watched by a FlipMonitor already"):
        fit(compiled(False), [FlipMonitor(), FlipMonitor()])


@pytest.mark.slow
def test_an_epoch_longer_than_the_capacity_of_the_device(tmp_path, monkeypatch):
    fit(compiled(False), [FlipMonitor(tmp_path / "roomy.csv")])
    monkeypatch.setattr("larq_bnnopt.callbacks.flip_monitor._CAPACITY", 2)
    fit(compiled(False), [FlipMonitor(tmp_path / "tight.csv")])
    assert (tmp_path / "roomy.csv").read_text() == (tmp_path / "tight.csv").read_text()


def test_training_is_the_same_with_and_without():
    watched, alone = compiled(False), compiled(False)
    fit(watched, [FlipMonitor()])
    fit(alone, [])
    for ours, expected in zip(watched.get_weights(), alone.get_weights()):
        np.testing.assert_array_equal(ours, expected)
    assert "train_step" not in vars(watched)


def test_two_replicas_are_counted_once(two_replicas, tmp_path):
    with two_replicas.scope():
        model = compiled(False)
    signs = Signs()
    fit(model, [FlipMonitor(tmp_path / "flips.csv"), signs], epochs=1)
    _, rows = table(tmp_path / "flips.csv")
    expected = [
        np.mean(np.concatenate([(a != b).ravel() for a, b in zip(before, after)]))
        for before, after in zip(signs.signs, signs.signs[1:])
    ]
    np.testing.assert_allclose(rows[:, 2], expected, rtol=1e-5)


def test_a_resumed_training_appends_to_its_earlier_epochs(tmp_path):
    path = tmp_path / "flips.csv"
    model = compiled(False)
    start = {name: k.numpy() for name, k in binary_kernels(model).items()}
    fit(model, [FlipMonitor(path)], epochs=3)
    fit(model, [FlipMonitor(path, start=start)], epochs=4, initial_epoch=2)
    _, rows = table(path)
    np.testing.assert_array_equal(rows[:, 0], np.repeat([0, 1, 2, 3], 5))
    fresh = compiled(False)
    history = fit(fresh, [FlipMonitor(start=start)], epochs=1).history
    assert history["c2i_ratio"][0] < 1


def with_first(value):
    """Kernels to start from, one of them replaced."""

    def start(model):
        kernels = {name: k.numpy() for name, k in binary_kernels(model).items()}
        kernels["first"] = value(kernels["first"]) if callable(value) else value
        return kernels

    return start


WRONG_STARTS = {
    "transposed": (with_first(lambda k: k.T), r"first must have the shape \(6, 12\)"),
    "broadcast": (with_first(lambda k: k[:1]), r"first .* Received: \(1, 12\)"),
    "number": (with_first(1.0), r"first must have the shape .* Received: \(\)"),
    "flat": (with_first(np.ravel), r"first must have the shape"),
    "none": (with_first(None), "first must have the shape"),
    "booleans": (with_first(lambda k: k < 0), "first must hold finite.*bool"),
    "bits": (with_first(lambda k: (k < 0).astype(np.uint8)), "first must .*uint8"),
    "texts": (with_first(lambda k: k.astype(str)), "first must hold finite.*<U"),
    "complex": (with_first(lambda k: k.astype(complex)), "first must hold.*complex"),
    "nan": (with_first(lambda k: k * np.nan), "first must hold finite numbers"),
    "zeros": (with_first(np.zeros_like), "first must hold -1 and .1"),
    "bits as floats": (with_first(lambda k: np.maximum(k, 0)), "first must hold -1"),
    "missing": (lambda model: {"first": np.ones((6, 12))}, "misses: second. The"),
    "unknown": (
        lambda model: {**with_first(np.array)(model), "third": np.ones(2)},
        "no binary kernels to compare with: third",
    ),
}


@pytest.mark.parametrize("start, message", WRONG_STARTS.values(), ids=WRONG_STARTS)
def test_a_start_that_does_not_fit_is_refused_by_layer(start, message):
    model = compiled(False)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        fit(model, [FlipMonitor(start=start(model))])
    for one, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert int(model.optimizer.iterations.numpy()) == 0


@pytest.mark.parametrize(
    "converts",
    [
        (lambda k: k.astype(np.int8), np.ndarray.tolist),
        pytest.param(
            (lambda k: tf.cast(k, tf.bfloat16).numpy(), tf.Variable),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_start_may_have_any_type_of_numbers_with_signs(converts):
    """C2I is the share of signs that equal the start."""
    model = compiled(False)
    kernels = {name: k.numpy() for name, k in binary_kernels(model).items()}
    opposite = {n: convert(-kernels[n]) for n, convert in zip(kernels, converts)}
    history = fit(model, [FlipMonitor(start=opposite)], epochs=1).history
    after = [k.numpy() for k in binary_kernels(model).values()]
    changed = [(a != b).ravel() for a, b in zip(kernels.values(), after)]
    expected = np.concatenate(changed).mean()
    assert history["c2i_ratio"][0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"start": [np.ones((6, 12))]}, TypeError, "start must hold the kernels by"),
        ({"csv_path": "a.csv", "plot_path": "a.csv"}, ValueError, "are one file"),
        ({"csv_path": "."}, IsADirectoryError, "is a folder"),
        ({"csv_path": "a.csv", "plot_path": "."}, IsADirectoryError, "is a folder"),
        ({"csv_path": "a.csv", "plot_path": "a.xyz"}, ValueError, "must end in.*png"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_before_a_training(
    options, error, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    model = compiled(False)
    with pytest.raises(error, match=message):
        fit(model, [FlipMonitor(**options)])
    assert int(model.optimizer.iterations.numpy()) == 0


def test_an_earlier_table_is_not_overwritten(tmp_path):
    path = tmp_path / "flips.csv"
    fit(compiled(False), [FlipMonitor(path)], epochs=1)
    before = path.read_text()
    with pytest.raises(FileExistsError, match="holds the flips of an earlier"):
        fit(compiled(False), [FlipMonitor(path)], epochs=1)
    assert path.read_text() == before


def test_flips_of_accumulated_batches_count_as_one_step(tmp_path):
    model, optimizer = network(False)
    grouped = CaseOptimizer(
        (Diode.is_binary_variable, optimizer.optimizers[0]),
        default_optimizer=tf.keras.optimizers.Adam(0.05),
        accumulate_steps=3,
    )
    model.compile(
        grouped, tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    signs, monitor = Signs(), FlipMonitor(tmp_path / "flips.csv")
    batches = -(-len(X) // 16)
    history = fit(model, [monitor, signs], epochs=2).history
    sizes = sum(kernel.size for kernel in signs.signs[0])
    changed = [
        sum(int((a != b).sum()) for a, b in zip(one, other)) / sizes
        for one, other in itertools.pairwise(signs.signs)
    ]
    for epoch in range(2):
        steps = (epoch + 1) * batches // 3 - epoch * batches // 3
        own = changed[epoch * batches : (epoch + 1) * batches]
        assert np.count_nonzero(own) <= steps and sum(own) > 0
        assert history["flip_ratio"][epoch] == pytest.approx(sum(own) / steps)


@pytest.mark.slow
@pytest.mark.filterwarnings("error::UserWarning")
def test_an_epoch_without_a_step_causes_no_warning(tmp_path):
    model, optimizer = network(False)
    batches = -(-len(X) // 16)
    grouped = CaseOptimizer(
        (Diode.is_binary_variable, optimizer.optimizers[0]),
        default_optimizer=tf.keras.optimizers.Adam(0.05),
        accumulate_steps=2 * batches,
    )
    model.compile(
        grouped, tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    history = fit(model, [FlipMonitor()], epochs=2).history
    assert history["flip_ratio"][0] == 0 < history["flip_ratio"][1]


def test_a_table_of_other_layers_is_refused(tmp_path):
    model, path = compiled(False), tmp_path / "flips.csv"

    def fit_with(trainable, **options):
        model.get_layer("first").trainable = trainable
        model.compile(model.optimizer, model.loss)
        fit(model, [FlipMonitor(path)], **options)

    fit_with(False, epochs=1)
    content = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"This training writes .*first, second"):
        fit_with(True, initial_epoch=1, epochs=2)
    assert path.read_bytes() == content


def test_an_interrupted_training_leaves_a_usable_model():
    class Stop(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = compiled(False)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [FlipMonitor(), Stop()])
    history = fit(model, [FlipMonitor()], epochs=1).history
    assert history["flip_ratio"][0] > 0


def test_a_model_without_binary_kernels_is_refused():
    model = tf.keras.Sequential([tf.keras.Input((6,)), tf.keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no trainable binary kernel"):
        model.fit(X, X[:, :3], verbose=0, callbacks=[FlipMonitor()])


def names_in_warnings(model, epochs=1):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(model, [FlipMonitor()], epochs)
    matches = (
        re.match(r"The binary kernels of (.*) were", str(w.message)) for w in caught
    )
    return [match[1] for match in matches if match]


def test_a_plain_optimizer_on_binary_kernels_is_warned_of_by_name():
    for plain in (tf.keras.optimizers.Adam(1e-5), tf.keras.optimizers.legacy.SGD(0.1)):
        model = compiled(False)
        model.compile(plain, model.loss)
        assert names_in_warnings(model, epochs=2) == ["first, second"]
        # They are not binary when the next training begins.
        assert not names_in_warnings(model)
    model = compiled(False)
    model.get_layer("first").trainable = False
    model.compile("sgd", model.loss)
    assert names_in_warnings(model) == ["second"]


class FlipsEverySign(tf.keras.optimizers.SGD):
    """A custom optimizer that flips every sign."""

    def update_step(self, gradient, variable):
        variable.assign(-variable)


@pytest.mark.slow
def test_sign_flips_and_latent_kernels_cause_no_warning():
    assert not names_in_warnings(compiled(False))
    assert not names_in_warnings(compiled(True))
    own = compiled(False)
    own.compile(FlipsEverySign(), own.loss)
    assert not names_in_warnings(own)
    # Each channel has its own scale.
    scaled = compiled(False)
    kernel = scaled.get_layer("first").kernel
    kernel.assign(kernel * tf.linspace(0.1, 0.7, 12))
    scaled.compile(FlipsEverySign(), scaled.loss)
    assert not names_in_warnings(scaled)
    scaled.compile("sgd", scaled.loss)
    assert names_in_warnings(scaled) == ["first, second"]


def test_the_plot_needs_the_table(tmp_path):
    with pytest.raises(ValueError, match="needs csv_path"):
        FlipMonitor(plot_path=tmp_path / "flips.png")
    new = tmp_path / "new"
    fit(compiled(False), [FlipMonitor(new / "f.csv", new / "f.png")])
    assert (new / "f.png").read_bytes().startswith(b"\x89PNG")


def test_kernels_keep_their_names(tmp_path):
    """Loading shortens the names of variables in some versions of Keras."""
    inner = compiled(False)
    outer = tf.keras.Sequential([tf.keras.Input((6,)), inner], name="outer")
    nested = [f"{inner.name}/{name}" for name in ("first", "second")]
    assert list(binary_kernels(inner)) == ["first", "second"]
    assert list(binary_kernels(outer)) == nested
    outer.save(tmp_path / "model.keras")
    copy = tf.keras.models.load_model(tmp_path / "model.keras")
    assert list(binary_kernels(copy)) == nested
    pairs = zip(binary_kernels(copy).values(), binary_kernels(outer).values())
    for kernel, expected in pairs:
        np.testing.assert_array_equal(kernel.numpy(), expected.numpy())
    separable = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 4)),
            lq.layers.QuantSeparableConv2D(
                4,
                3,
                depthwise_quantizer="ste_sign",
                pointwise_quantizer="ste_sign",
                name="both",
            ),
        ]
    )
    expected = ["both/depthwise_kernel", "both/pointwise_kernel"]
    assert list(binary_kernels(separable)) == expected


SIZES = {"first": 72, "second": 96}


def layers_of(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {(int(row["epoch"]), row["layer"]): row for row in rows}


@pytest.mark.parametrize("latent", [False, True])
def test_shares_and_percentiles_equal_those_of_full_copies(latent, tmp_path):
    model, signs = compiled(latent), Signs()
    monitor = FlipMonitor(tmp_path / "flips.csv", per_weight=True)
    history = fit(model, [monitor, signs]).history
    rows = layers_of(tmp_path / "flips_layers.csv")
    assert len(rows) == 6
    counts, never = {}, {}
    for index, name in enumerate(SIZES):
        steps = [s[index].ravel() for s in signs.signs]
        flips = np.array([a != b for a, b in itertools.pairwise(steps)])
        for epoch in range(3):
            counts[epoch, name] = flips[5 * epoch : 5 * epoch + 5].sum(axis=0)
            never[epoch, name] = (flips[: 5 * epoch + 5].sum(axis=0) == 0).mean()
            row = rows[epoch, name]
            positive = steps[5 * epoch + 5].mean()
            assert float(row["positive_ratio"]) == pytest.approx(positive, rel=1e-5)
            assert float(row["never_flipped_ratio"]) == pytest.approx(
                never[epoch, name], rel=1e-5
            )
            for column, q in (("flips_p50", 50), ("flips_p95", 95), ("flips_max", 100)):
                expected = np.percentile(counts[epoch, name], q)
                assert float(row[column]) == pytest.approx(expected)
            ratio = flips[5 * epoch : 5 * epoch + 5].mean()
            assert float(row["flip_ratio"]) == pytest.approx(ratio, rel=1e-5)
    assert 0 < never[0, "first"] < 1
    both = np.concatenate([counts[2, name] for name in SIZES])
    assert history["flips_p95"][2] == pytest.approx(np.percentile(both, 95))
    whole = sum(never[2, name] * size for name, size in SIZES.items()) / 168
    assert history["never_flipped_ratio"][2] == pytest.approx(whole)


def zero_feature(rows):
    x = X.copy()
    x[rows, 0] = 0
    return x


def dead_of(model, x, path):
    model.fit(x, Y, batch_size=16, epochs=1, shuffle=False, verbose=0,
              callbacks=[FlipMonitor(path)])  # fmt: skip
    rows = layers_of(path.with_name(f"{path.stem}_layers.csv"))
    return {name: float(rows[0, name]["dead_ratio"]) for name in SIZES}


@pytest.mark.parametrize("latent", [False, True])
def test_weights_without_a_gradient_are_dead(latent, tmp_path):
    """A weight of an input that is always zero; one other value is enough."""
    whole = dead_of(compiled(latent), zero_feature(slice(None)), tmp_path / "a.csv")
    assert whole == {"first": pytest.approx(12 / 72, rel=1e-5), "second": 0}
    once = dead_of(compiled(latent), zero_feature(slice(1, None)), tmp_path / "b.csv")
    assert once == {"first": 0, "second": 0}


@pytest.mark.slow
def test_a_gradient_in_one_replica_is_a_gradient(two_replicas, tmp_path):
    # Of each batch of 16, the second half goes to the second replica.
    first_half = np.arange(80) % 16 < 8
    for index, (rows, expected) in enumerate(
        [(first_half, 0), (~first_half, 0), (slice(None), 12 / 72)]
    ):
        with two_replicas.scope():
            model = compiled(False)
        dead = dead_of(model, zero_feature(rows), tmp_path / f"{index}.csv")
        assert dead["first"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_gradients_are_seen_under_mixed_precision(tmp_path):
    model = compiled(False)
    optimizer = tf.keras.mixed_precision.LossScaleOptimizer(model.optimizer)
    model.compile(optimizer, model.loss)
    dead = dead_of(model, zero_feature(slice(None)), tmp_path / "a.csv")
    assert dead["first"] == pytest.approx(12 / 72, rel=1e-5)
    assert "apply_gradients" not in vars(model.optimizer)


def test_a_training_without_an_optimizer_has_no_dead_weights(tmp_path):
    model = compiled(False)
    step = model.train_step
    model.train_step = lambda data: (model.test_step(data), step)[0]
    with pytest.warns(UserWarning, match="No binary weight of first, second flipped"):
        history = fit(model, [FlipMonitor(tmp_path / "a.csv")], epochs=1).history
    assert "dead_ratio" not in history
    assert history["never_flipped_ratio"] == [1]


def test_a_resumed_training_counts_as_if_it_had_never_stopped(tmp_path):
    whole, parts = tmp_path / "whole.csv", tmp_path / "parts.csv"
    expected = fit(compiled(True), [FlipMonitor(whole)], epochs=4).history
    model = compiled(True)
    fit(model, [FlipMonitor(parts)], epochs=2)
    rest = fit(model, [FlipMonitor(parts)], epochs=4, initial_epoch=2).history
    for name in ("never_flipped_ratio", "c2i_ratio", "dead_ratio", "flip_ratio"):
        assert rest[name] == expected[name][2:]
    for suffix in (".csv", "_layers.csv"):
        texts = [p.with_name(p.stem + suffix).read_text() for p in (whole, parts)]
        assert texts[0] == texts[1]


def test_a_training_killed_before_its_model_was_saved_resumes_an_epoch_earlier(
    tmp_path,
):
    path = tmp_path / "flips.csv"
    model = compiled(True)
    fit(model, [FlipMonitor(path)], epochs=2)
    weights = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
    expected = fit(model, [FlipMonitor(path)], epochs=3, initial_epoch=2).history
    model.set_weights(weights[0])
    for variable, value in zip(model.optimizer.variables, weights[1]):
        variable.assign(value)
    again = fit(model, [FlipMonitor(path)], epochs=3, initial_epoch=2).history
    assert again == expected


@pytest.mark.slow
def test_a_missing_or_damaged_state_causes_a_warning(tmp_path):
    path = tmp_path / "flips.csv"
    model = compiled(True)
    fit(model, [FlipMonitor(path)], epochs=2)
    state = tmp_path / "flips_state.npz"
    for content in (state.read_bytes()[:100], b"", None):
        state.unlink()
        if content is not None:
            state.write_bytes(content)
        with pytest.warns(UserWarning, match="ratio and c2i_ratio count from here"):
            fit(model, [FlipMonitor(path)], epochs=3, initial_epoch=2)


@pytest.mark.slow
def test_the_state_of_another_start_is_not_used(tmp_path):
    path = tmp_path / "flips.csv"
    model = compiled(True)
    fit(model, [FlipMonitor(path)], epochs=2)
    start = {name: k.numpy() for name, k in binary_kernels(model).items()}
    history = fit(
        model, [FlipMonitor(path, start=start)], epochs=3, initial_epoch=2
    ).history
    # It has taken five steps at most.
    assert history["c2i_ratio"][0] >= history["never_flipped_ratio"][0] > 0.5
