"""Numbers that studies make of trained models, against their definitions."""

import types

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import studies
from larq_bnnopt.callbacks import binary_kernels
from larq_bnnopt.optimizers import CaseOptimizer, Diode
from larq_bnnopt.studies import (
    distributions,
    latent_weights,
    layer_flips,
    ruggedness,
    training,
)
from larq_bnnopt.studies.comparing import (
    higher_best,
    higher_mean,
    larger_gap,
    narrow,
    not_higher,
    same_curve,
)
from larq_bnnopt.studies.measures import TEST_ACCURACY


def runs_of(**accuracies):
    return [
        studies.RunResult.of_numbers(arm, seed, numbers={"val_accuracy": value})
        for arm, values in accuracies.items()
        for seed, value in enumerate(values)
    ]


def test_means_of_groups_and_gaps_are_paired():
    results = runs_of(a=[0.9, 0.8], b=[0.7, 0.8], c=[0.5, 0.1], d=[0.2])
    groups = higher_mean(TEST_ACCURACY, ["a", "b"], ["c"], ("large", "small"))
    assert groups.differences(results) == pytest.approx({0: 0.3, 1: 0.7})
    assert groups.words == "mean test accuracy of large minus that of small"
    gap = larger_gap(TEST_ACCURACY, ("a", "b"), ("c", "d"))
    # Seed 1 lacks a run of d.
    assert gap.differences(results) == pytest.approx({0: 0.2 - 0.3})


def test_the_best_of_two_groups():
    results = runs_of(a=[0.9, 0.5], b=[0.7, 0.8], c=[0.5, 0.1], d=[0.2, 0.6])
    best = higher_best(TEST_ACCURACY, ["a", "b"], ["c", "d"], ("ours", "theirs"))
    assert best.differences(results) == pytest.approx({0: 0.4, 1: 0.2})


def test_no_more_accurate_is_one_sided():
    results = runs_of(a=[0.5, 0.9], b=[0.8, 0.8])
    one = not_higher(TEST_ACCURACY, "a", "b", 0.015)
    assert one.differences(results) == pytest.approx({0: 0.315, 1: -0.085})
    assert one.words.startswith("margin of 1.5 points minus the lead in test accuracy")


def test_noise_alone_does_not_widen_what_is_equal():
    rng = np.random.default_rng(0)
    results = runs_of(**{arm: rng.normal(0.5, 0.01, 200) for arm in "abc"})
    pairs = narrow(TEST_ACCURACY, ["a", "b", "c"], 0.03)
    assert [one.arms for one in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    for one in pairs:
        values = list(one.differences(results).values())
        assert abs(np.mean(values)) < 0.003


def test_curves_are_compared_by_the_means_of_their_parts():
    measure = studies.Measure("flip_ratio", "FF ratio")
    series = {"a": [0.4, 0.2, 0.3, None, 0.1, 0.5], "b": [0.2, 0.4, 0.1, 0.1, 0.1, 0.1]}
    results = [
        studies.RunResult.of_numbers(arm, 0, series={"flip_ratio": values})
        for arm, values in series.items()
    ]
    parts = same_curve(measure, "a", "b", 0.1, 3)
    found = [one.differences(results)[0] for one in parts]
    assert found == pytest.approx([0.0, 0.2, 0.2])


def test_nothing_is_measured_of_a_model_that_diverged(monkeypatch):
    def diverge(study, arm, recipe, data, quick, out):
        out.diverged = True
        out.series["val_accuracy"] = [0.1]
        return zx.TinyResidualBNN(input_shape=(8, 8, 1))

    monkeypatch.setattr(training, "_fitted", diverge)
    study = studies.get("paper_000_loss_landscape").made_quick()
    run = studies.train_arm(study, study.arms[0], 0, quick=True)
    assert run.diverged and run.numbers == {}


def test_ruggedness_is_that_of_the_surface():
    x = np.linspace(-1, 1, 41)
    bowl = np.add.outer(x**2, x**2)
    # Second differences 2 h^2, first differences 2 x h of mean square 4 h^2 / 3.
    assert ruggedness.ruggedness(bowl) == pytest.approx(0.05 * 3**0.5, rel=0.03)
    noise = np.random.default_rng(0).normal(size=(200, 200))
    assert ruggedness.ruggedness(noise) == pytest.approx(3**0.5, rel=0.02)
    assert ruggedness.ruggedness(8 * noise) == ruggedness.ruggedness(noise)
    assert ruggedness.ruggedness(np.ones((3, 3))) == 0


@pytest.mark.parametrize(("name", "limit"), [("u", 4.0), ("m", 1.0)])
def test_histograms_hold_all_weights(name, limit):
    values = np.random.default_rng(1).normal(size=10_000)
    shares = np.array(distributions.histogram(values, name))
    assert shares.sum() == pytest.approx(1)
    middles = (np.arange(60) + 0.5) / 30 * limit - limit
    scale = 1.0 if name == "u" else np.abs(values).max()
    deviation = np.sqrt(np.sum(shares * middles**2)) * scale
    assert deviation == pytest.approx(1, abs=0.03)


def test_averages_are_those_of_the_optimizer():
    layer = lq.layers.QuantDense(
        8,
        kernel_quantizer=lq.quantizers.NoOp(precision=1),
        kernel_initializer="ones",
        activation="softmax",
        input_shape=(3,),
    )
    model = tf.keras.Sequential([layer])
    diode = Diode(alpha=0.5, beta=0.0)
    adam = tf.keras.optimizers.Adam()
    case = CaseOptimizer((Diode.is_binary_variable, diode), default_optimizer=adam)
    model.compile(case, "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(4, 3))
    model.fit(x, np.arange(4), verbose=0)
    found = distributions.averages(model, None)
    # With beta 0, m is the vote: the sign of u.
    m = np.array(found["histogram_m"])
    assert set(found) == {"histogram_u", "histogram_m"}
    assert m[0] + m[-1] + m[30] == pytest.approx(1)
    u = np.array(found["histogram_u"])
    assert u[:30].sum() == pytest.approx(m[0], abs=1e-6)


def test_the_way_of_latent_weights():
    model = zx.TinyResidualBNN(input_shape=(8, 8, 1))
    (watch,) = latent_weights.watch(model, None)
    kernels = list(binary_kernels(model).values())
    logs = {}
    kernels[0].assign_add(tf.ones_like(kernels[0]))
    watch.on_epoch_end(0, logs)
    share = kernels[0].shape.num_elements() / sum(
        kernel.shape.num_elements() for kernel in kernels
    )
    assert logs["latent_distance"] == pytest.approx(share, rel=1e-5)
    assert logs["latent_still"] == pytest.approx(1 - share, rel=1e-5)


def test_percentiles_of_layers(tmp_path):
    path = tmp_path / "flips.csv"
    (tmp_path / "flips_layers.csv").write_text(
        "epoch,layer,flip_ratio,flips_p50,flips_p75,flips_p95,flips_p99,flips_max\n"
        "0,first,0.1,0,1,2,3,4\n0,last,0.1,5,6,7,8,9\n1,first,0.1,0,0,1,2,3\n"
    )
    found = layer_flips.percentiles_of("first")(path)
    assert found["flips_p95/first"] == [2, 1] and len(found) == 5


def test_the_rise_of_flips_is_that_of_the_first_layer():
    study = studies.get("paper_002_fig7_flips")
    name = study.comparisons[0].measure.name
    flips = [9.0, 9.0, 9.0, 9.0, 0.2, 0.4, 0.6, 0.8]
    runs = [
        studies.RunResult.of_numbers(arm.name, 0, series={name: flips})
        for arm in study.arms
    ]
    changes = [one.differences(runs)[0] for one in study.comparisons]
    assert changes == pytest.approx([0.4, -0.4, -0.4])


def test_a_landscape_of_test_images():
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, "softmax")])
    model.build((None, 3))
    model.compile(loss="sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(8, 3))
    test = tf.data.Dataset.from_tensor_slices((x, np.arange(8) % 2)).batch(4)
    found = ruggedness.around(model, types.SimpleNamespace(test=test))
    assert len(found["landscape"]) == 21 * 21
    # A linear model has a smooth loss.
    assert found["ruggedness"] < 0.2


def test_panels_draw_what_runs_hold(tmp_path):
    figure_module = pytest.importorskip("matplotlib.figure")
    losses = np.add.outer(np.arange(21.0), np.zeros(21))
    series = {"landscape": losses.ravel().tolist(), "histogram_m": [1.0] + 59 * [0.0]}
    run = studies.RunResult.of_numbers("a", 0, series=series)
    arms = [studies.Arm("a"), studies.Arm("never run")]
    figure = figure_module.Figure()
    one, two, three = figure.subplots(1, 3)
    ruggedness.Contours("a").draw(one, arms, [run])
    ruggedness.Contours("never run").draw(two, arms, [run])
    distributions.Distribution("m").draw(three, arms, [run])
    assert one.get_title() == "a" and not two.collections
    (line,) = three.get_lines()
    assert line.get_xdata()[0] == pytest.approx(-59 / 60)
    assert line.get_ydata().tolist() == [100.0] + 59 * [0.0]
    figure.savefig(tmp_path / "panels.png")
