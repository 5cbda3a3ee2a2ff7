"""Probes record what the optimizer gets and keeps, in every bit."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt.callbacks import (
    FlipMonitor,
    Probes,
    binary_kernels,
    plot_histograms,
    plot_probes,
    read_histograms,
    read_probes,
)
from larq_bnnopt.callbacks.probe_files import histograms_of
from larq_bnnopt.optimizers import Bop2ndOrder, CaseOptimizer, Diode, GradientFilter
from larq_bnnopt.optimizers import legacy as old

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 6)).astype(np.float32)
Y = RNG.integers(0, 3, size=80)
BATCHES = 5
ALL = {"first": list(range(72)), "second": list(range(96))}


def network(latent=False):
    tf.keras.utils.set_random_seed(0)
    options = {
        "kernel_quantizer": lq.quantizers.NoOp(precision=1),
        "kernel_initializer": zx.initializers.BernoulliSign(),
    }
    if latent:
        options = {"kernel_quantizer": "ste_sign"}
    return tf.keras.Sequential(
        [
            tf.keras.Input((6,)),
            lq.layers.QuantDense(12, name="first", **options),
            tf.keras.layers.BatchNormalization(),
            lq.layers.QuantDense(8, name="second", **options),
            tf.keras.layers.Dense(3),
        ]
    )


def compiled(optimizer, latent=False, **options):
    model = network(latent)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **options)
    return model


def case(binary, **options):
    return CaseOptimizer(
        (Diode.is_binary_variable, binary),
        default_optimizer=tf.keras.optimizers.Adam(0.05),
        **options,
    )


def legacy_case(binary, **options):
    return old.CaseOptimizer(
        (old.Diode.is_binary_variable, binary),
        default_optimizer=tf.keras.optimizers.legacy.Adam(0.05),
        **options,
    )


def fit(model, callbacks, epochs=2, **options):
    return model.fit(
        X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0,
        callbacks=callbacks, **options,
    )  # fmt: skip


def recorded(model, path, probes=None, **options):
    """Trains, and returns the series of all weights by layer, (steps, weights)."""
    monitor = FlipMonitor(path / "flips.csv", probes=probes or Probes(weights=ALL))
    fit(model, [monitor], **options)
    weights = read_probes(path / "flips_probes.csv")
    found = {}
    for layer in ALL:
        own = [series for (name, _), series in weights.items() if name == layer]
        found[layer] = {
            name: np.stack([one[name] for one in own], axis=1) for name in own[0]
        }
    return found


def gradients_by_hand(latent=False):
    """The gradient of the first step of the first layer, by a tape of our own."""
    model = network(latent)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kernel = binary_kernels(model)["first"]
    with tf.GradientTape() as tape:
        value = loss(Y[:16], model(X[:16], training=True))
    return tape.gradient(value, kernel).numpy().ravel()


OPTIMIZERS = {
    "diode": lambda: case(Diode(alpha=0.5, beta=0.75)),
    "diode, legacy": lambda: legacy_case(old.Diode(alpha=0.5, beta=0.75)),
    "diode in groups": lambda: case(Diode(alpha=0.5, beta=0.75), accumulate_steps=3),
    "diode in groups, legacy": lambda: legacy_case(
        old.Diode(alpha=0.5, beta=0.75), accumulate_steps=3
    ),
}


SLOW = {"diode in groups, legacy", "diode, legacy"}


def slow_if(name, slow):
    return pytest.param(name, marks=[pytest.mark.slow] if name in slow else [])


@pytest.mark.parametrize("name", [slow_if(name, SLOW) for name in OPTIMIZERS])
def test_records_satisfy_the_equations_of_diode(name, tmp_path):
    """Paper 003, eq. 10-13, in float64 from the recorded gradients alone."""
    steps = 10 // 3 if "groups" in name else 10
    for layer, series in recorded(compiled(OPTIMIZERS[name]()), tmp_path).items():
        np.testing.assert_array_equal(
            series["step"], np.repeat(np.arange(steps)[:, None], len(ALL[layer]), 1)
        )
        u = m = np.zeros(len(ALL[layer]))
        for step, gradient in enumerate(series["gradient"]):
            u = 0.5 * u + 0.5 * gradient
            np.testing.assert_allclose(series["u"][step], u, rtol=1e-5, atol=1e-8)
            m = 0.75 * m + 0.25 * np.sign(u)
            np.testing.assert_allclose(series["m"][step], m, rtol=1e-5, atol=1e-8)
            decided = np.abs(m) > 1e-6
            np.testing.assert_array_equal(
                series["weight"][step][decided], -np.sign(m)[decided]
            )
        assert np.abs(series["gradient"]).min(axis=0).max() > 0
        assert set(series) == {"epoch", "step", "gradient", "u", "m", "weight"}


def test_the_gradient_is_that_of_the_loss(tmp_path):
    series = recorded(compiled(case(Diode(alpha=0.5, beta=0.5))), tmp_path)
    by_hand = gradients_by_hand()
    np.testing.assert_allclose(
        series["first"]["gradient"][0], by_hand, rtol=1e-4, atol=1e-7
    )
    assert np.abs(by_hand).max() > 1e-2


def test_the_gradient_of_accumulated_batches_is_their_mean(tmp_path):
    """As one batch of three times the size, without batch normalization's."""
    model = network()
    plain = tf.keras.Sequential([model.get_layer("first"), tf.keras.layers.Dense(3)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        value = loss(Y[:48], plain(X[:48], training=True))
    mean = tape.gradient(value, plain.layers[0].kernel).numpy().ravel()
    plain.compile(case(Diode(alpha=0.5, beta=0.5), accumulate_steps=3), loss)
    probes = Probes(weights={"first": ALL["first"]})
    fit(plain, [FlipMonitor(tmp_path / "f.csv", probes=probes)], epochs=1)
    table = read_probes(tmp_path / "f_probes.csv")
    assert {series["step"].tolist() == [0] for series in table.values()} == {True}
    found = [series["gradient"][0] for series in table.values()]
    np.testing.assert_allclose(found, mean, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("order", [1, 2])
def test_records_satisfy_the_equations_of_the_filter(order, tmp_path):
    """Paper 001, eq. 11-13."""
    optimizer = case(GradientFilter(alpha=0.25, gamma=0.5, order=order))
    series = recorded(compiled(optimizer), tmp_path)["second"]
    m = g = np.zeros(96)
    for step, gradient in enumerate(series["gradient"]):
        m = 0.5 * m + 0.5 * gradient if order == 2 else gradient
        g = 0.75 * g + 0.25 * m
        np.testing.assert_allclose(series["g"][step], g, rtol=1e-4, atol=1e-8)
        if order == 2:
            np.testing.assert_allclose(series["m"][step], m, rtol=1e-5, atol=1e-8)
    assert ("m" in series) == (order == 2)


def sgd_by_hand(series, step, before):
    m = 0.9 * before["m"] - 0.1 * series["gradient"][step]
    return {"m": m, "weight": before["weight"] + m}


def adam_by_hand(series, step, before):
    gradient = series["gradient"][step]
    return {
        "m": 0.9 * before["m"] + 0.1 * gradient,
        "v": 0.999 * before["v"] + 0.001 * gradient**2,
    }


LATENT = {
    "sgd": (lambda keras: keras.SGD(0.1, momentum=0.9), sgd_by_hand),
    "adam": (lambda keras: keras.Adam(0.05), adam_by_hand),
}


@pytest.mark.parametrize(
    "name, keras",
    [
        ("sgd", "optimizers"),
        ("adam", "optimizers.legacy"),
        pytest.param("adam", "optimizers", marks=pytest.mark.slow),
        pytest.param("sgd", "optimizers.legacy", marks=pytest.mark.slow),
    ],
)
def test_latent_weights_are_recorded_with_keras_optimizers(name, keras, tmp_path):
    make, by_hand = LATENT[name]
    keras = {
        "optimizers": tf.keras.optimizers,
        "optimizers.legacy": tf.keras.optimizers.legacy,
    }[keras]
    model = compiled(make(keras), latent=True)
    start = binary_kernels(model)["first"].numpy().ravel()
    series = recorded(model, tmp_path, epochs=1)["first"]
    before = {"m": 0.0, "v": 0.0, "weight": start}
    for step in range(BATCHES):
        before.update(by_hand(series, step, before))
        for quantity in before.keys() & series.keys() - {"weight"}:
            np.testing.assert_allclose(
                series[quantity][step], before[quantity], rtol=1e-4, atol=1e-7
            )
        if name == "sgd":
            np.testing.assert_allclose(
                series["weight"][step], before["weight"], rtol=1e-5, atol=1e-6
            )
    expected = {"sgd": {"m"}, "adam": {"m", "v"}}[name]
    assert set(series) == {"epoch", "step", "gradient", "weight"} | expected


def test_an_optimizer_without_such_averages_has_empty_cells(tmp_path):
    model = compiled(tf.keras.optimizers.Adadelta(50.0), latent=True)
    probes = Probes(weights={"first": [0]})
    fit(model, [FlipMonitor(tmp_path / "f.csv", probes=probes)], epochs=1)
    lines = (tmp_path / "f_probes.csv").read_text().splitlines()
    assert lines[0] == "epoch,step,layer,index,gradient,u,m,v,g,weight"
    cells = lines[1].split(",")
    assert cells[:4] == ["0", "0", "first", "0"]
    assert cells[5:9] == [""] * 4 and cells[4] and cells[9]


def test_state_of_16_bits_and_second_order_bop(tmp_path):
    optimizer = Bop2ndOrder(1e-3, gamma=0.5, sigma=0.5, state_dtype="bfloat16")
    series = recorded(compiled(case(optimizer)), tmp_path, epochs=1)["first"]
    np.testing.assert_allclose(
        series["v"][0], 0.5 * series["gradient"][0] ** 2, rtol=2**-7, atol=1e-12
    )


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"steps_per_execution": 3}, marks=pytest.mark.slow),
        pytest.param({"run_eagerly": True}, marks=pytest.mark.slow),
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_execution_records_the_same(options, tmp_path):
    found = []
    for number, one in enumerate(({}, options)):
        folder = tmp_path / str(number)
        folder.mkdir()
        model = compiled(case(Diode(alpha=0.5, beta=0.5)), **one)
        found.append(recorded(model, folder)["second"])
    for name, values in found[0].items():
        np.testing.assert_allclose(found[1][name], values, rtol=1e-3, atol=1e-5)


def test_every_few_steps(tmp_path):
    model = compiled(case(Diode(alpha=0.5, beta=0.5)))
    series = recorded(model, tmp_path, Probes(weights=ALL, every=4))
    assert series["first"]["step"][:, 0].tolist() == [0, 4, 8]
    assert series["first"]["epoch"][:, 0].tolist() == [0, 0, 1]


def test_training_is_the_same_with_and_without(tmp_path):
    finals = []
    for probes in (None, Probes()):
        model = compiled(case(Diode(alpha=0.5, beta=0.5)))
        name = tmp_path / f"{probes is None}.csv"
        fit(model, [FlipMonitor(name, probes=probes)])
        assert "apply_gradients" not in vars(model.optimizer)
        assert all("apply_gradients" not in vars(o) for o in model.optimizer.optimizers)
        finals.append(model.get_weights())
    for one, other in zip(*finals):
        np.testing.assert_array_equal(one, other)
    assert sorted(path.name for path in tmp_path.glob("True*")) == [
        "True.csv",
        "True_layers.csv",
        "True_state.npz",
    ]


def test_histograms_are_those_of_the_last_step(tmp_path):
    model = compiled(case(Diode(alpha=0.5, beta=0.5)))
    series = recorded(model, tmp_path, Probes(weights=ALL, bins=7))
    histograms = read_histograms(tmp_path / "flips_histograms.npz")
    assert len(histograms) == 2 * 2 * 4
    for one in histograms:
        own = series[one.layer]
        values = own[one.quantity][own["epoch"][:, 0] == one.epoch][-1]
        counts, edges = np.histogram(values, 7)
        np.testing.assert_array_equal(one.counts, counts)
        np.testing.assert_allclose(one.edges, edges, rtol=1e-6)


def test_values_that_are_not_finite_are_in_no_bin():
    values = {"dense": {"u": np.array([0.0, np.nan, 1.0, np.inf], np.float32)}}
    (one,) = histograms_of(3, values, 2)
    assert one.counts.tolist() == [1, 1] and one.epoch == 3
    (none,) = histograms_of(0, {"dense": {"u": np.array([np.nan])}}, 2)
    assert none.counts.tolist() == [0, 0]


FILES = ("_probes.csv", "_histograms.npz")


def contents(path):
    text = path.with_name(f"{path.stem}_probes.csv").read_text()
    histograms = read_histograms(path.with_name(f"{path.stem}_histograms.npz"))
    return text, [
        (one.epoch, one.layer, one.quantity, one.counts.tolist(), one.edges.tolist())
        for one in histograms
    ]


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"accumulate_steps": 3}, marks=pytest.mark.slow)],
    ids=str,
)
def test_a_resumed_training_records_as_if_it_had_never_stopped(options, tmp_path):
    whole, parts = tmp_path / "whole.csv", tmp_path / "parts.csv"
    probes = Probes(every=2)

    def model():
        return compiled(case(Diode(alpha=0.5, beta=0.5), **options))

    fit(model(), [FlipMonitor(whole, probes=probes)], epochs=3)
    one = model()
    fit(one, [FlipMonitor(parts, probes=probes)], epochs=1)
    kept = one.get_weights(), [v.numpy() for v in one.optimizer.variables]
    # Of a second epoch whose model was not saved the records are dropped.
    fit(one, [FlipMonitor(parts, probes=probes)], epochs=2, initial_epoch=1)
    one.set_weights(kept[0])
    for variable, value in zip(one.optimizer.variables, kept[1]):
        variable.assign(value)
    fit(one, [FlipMonitor(parts, probes=probes)], epochs=3, initial_epoch=1)
    assert contents(whole) == contents(parts)
    assert len(contents(whole)[0].splitlines()) > 8


@pytest.mark.slow
def test_an_epoch_longer_than_the_capacity_of_the_device(tmp_path, monkeypatch):
    found = []
    for number, capacity in enumerate((256, 2)):
        monkeypatch.setattr("larq_bnnopt.callbacks.flip_monitor._CAPACITY", capacity)
        path = tmp_path / f"{number}.csv"
        model = compiled(case(Diode(alpha=0.5, beta=0.5)))
        fit(model, [FlipMonitor(path, probes=Probes())])
        found.append(contents(path))
    assert found[0] == found[1]


def test_an_interrupted_training_leaves_a_usable_model(tmp_path):
    class Stop(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = compiled(tf.keras.optimizers.Adam(0.05), latent=True)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [FlipMonitor(tmp_path / "a.csv", probes=Probes()), Stop()])
    fit(model, [FlipMonitor(tmp_path / "b.csv", probes=Probes())])
    assert "apply_gradients" not in vars(model.optimizer)
    assert "train_step" not in vars(model)
    steps = next(iter(read_probes(tmp_path / "b_probes.csv").values()))["step"]
    assert steps.tolist() == list(range(1, 11))


def test_gradients_under_a_loss_scale_are_unscaled(tmp_path):
    optimizer = tf.keras.mixed_precision.LossScaleOptimizer(
        case(Diode(alpha=0.5, beta=0.5)), dynamic=False, initial_scale=1024.0
    )
    series = recorded(compiled(optimizer), tmp_path, epochs=1)["first"]
    np.testing.assert_allclose(
        series["gradient"][0], gradients_by_hand(), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize(
    "damage",
    [
        ("_probes.csv", b"epoch,step\n0,x\n", "has the columns epoch, step"),
        ("_histograms.npz", b"PK", "is damaged .*remove it to continue"),
    ],
    ids=lambda damage: damage[0],
)
def test_a_damaged_file_is_named_and_kept(damage, tmp_path):
    name, content, message = damage
    path = tmp_path / "flips.csv"
    model = compiled(case(Diode(alpha=0.5, beta=0.5)))
    fit(model, [FlipMonitor(path, probes=Probes())], epochs=1)
    bad = tmp_path / f"flips{name}"
    bad.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises((ValueError, FileExistsError), match=message):
        fit(model, [FlipMonitor(path, probes=Probes())], epochs=2, initial_epoch=1)
    assert bad.read_bytes() == content and path.read_bytes() == before


def test_earlier_probes_are_not_overwritten(tmp_path):
    (tmp_path / "flips_probes.csv").write_text("mine")
    model = compiled(case(Diode(alpha=0.5, beta=0.5)))
    with pytest.raises(FileExistsError, match="holds the probes of an earlier"):
        fit(model, [FlipMonitor(tmp_path / "flips.csv", probes=Probes())])
    assert (tmp_path / "flips_probes.csv").read_text() == "mine"


def test_several_devices_are_refused(two_replicas, tmp_path):
    with two_replicas.scope():
        model = compiled(case(Diode(alpha=0.5, beta=0.5)))
    with pytest.raises(ValueError, match=r"Probes record on one device.* on 2\. L"):
        fit(model, [FlipMonitor(tmp_path / "f.csv", probes=Probes())])


# Which weights.


def test_a_sample_depends_on_name_size_and_seed_alone():
    shapes = {"a": (3, 3, 16, 8), "b": (100,)}
    sample = Probes(weights=5).chosen(shapes)
    assert {name: len(own) for name, own in sample.items()} == {"a": 5, "b": 5}
    again = Probes(weights=5).chosen({"new": (7,), **shapes})
    for name, own in sample.items():
        np.testing.assert_array_equal(again[name], own)
        assert sorted(set(own.tolist())) == own.tolist()
        assert own.max() < np.prod(shapes[name])
    assert Probes(weights=5, seed=1).chosen(shapes)["a"].tolist() != (
        sample["a"].tolist()
    )
    assert Probes(weights=9).chosen({"tiny": (4,)})["tiny"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"every": 0}, ValueError, "every must be at least 1. Received: 0"),
        ({"every": 1.5}, TypeError, "every must be a whole number. Received: 1.5"),
        ({"weights": True}, TypeError, "weights must be a whole number"),
        ({"weights": 0}, ValueError, "weights must be at least 1"),
        ({"weights": {}}, ValueError, "weights names no weight"),
        ({"weights": {"a": []}}, ValueError, "weights names no weight"),
        ({"weights": {"a": [-1]}}, ValueError, "an index of a must be at least 0"),
        ({"bins": 0}, ValueError, "bins must be at least 1"),
    ],
)
def test_wrong_probes_are_refused_when_they_are_made(options, error, message):
    with pytest.raises(error, match=message):
        Probes(**options)


@pytest.mark.parametrize(
    "weights, message",
    [
        ({"frist": [0]}, "No binary kernel 'frist'. Nearest: first."),
        ({"first": [72]}, "first has 72 weights. Received: the index 72"),
    ],
)
def test_weights_that_are_not_there(weights, message, tmp_path):
    model = compiled(case(Diode(alpha=0.5, beta=0.5)))
    with pytest.raises(ValueError, match=message):
        fit(model, [FlipMonitor(tmp_path / "f.csv", probes=Probes(weights=weights))])


def test_probes_need_a_table_and_their_type():
    with pytest.raises(ValueError, match="probes needs csv_path"):
        FlipMonitor(probes=Probes())
    with pytest.raises(TypeError, match=r"probes must be Probes\(...\). Received: 4"):
        FlipMonitor("flips.csv", probes=4)


# Pictures.


def test_pictures(tmp_path):
    model = compiled(case(GradientFilter(alpha=0.25, gamma=0.5)))
    fit(model, [FlipMonitor(tmp_path / "f.csv", probes=Probes(weights=1))])
    table, histograms = tmp_path / "f_probes.csv", tmp_path / "f_histograms.npz"
    plot_probes(table, tmp_path / "a.png", layer="second")
    plot_histograms(histograms, tmp_path / "b.png", quantities=["gradient", "g"])
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    for wrong, message in (
        ({"layer": "third"}, "No layer 'third'. Known: first, second."),
        ({"layer": "first", "index": 99}, "No weight 99 of first. Known: "),
    ):
        with pytest.raises(ValueError, match=message):
            plot_probes(table, tmp_path / "c.png", **wrong)
    with pytest.raises(ValueError, match=r"No quantity 'z'\. Known: gradient, m, g"):
        plot_histograms(histograms, tmp_path / "c.png", quantities=["z"])
    with pytest.raises(ValueError, match="is no table of probes"):
        plot_probes(tmp_path / "f.csv", tmp_path / "c.png")
    assert not (tmp_path / "c.png").exists()
