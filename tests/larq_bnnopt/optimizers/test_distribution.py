"""Two replicas, in one process or two, stay equal to each other and to one device."""

import json
import os
import subprocess
import sys
import textwrap

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import optimizers
from larq_bnnopt.optimizers import CaseOptimizer, Diode, legacy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 8)).astype(np.float32)
Y = np.eye(2, dtype=np.float32)[(X[:, 0] * X[:, 1] > 0).astype(np.int64)]


def network():
    """No batch normalization: each replica has its own statistics."""
    tf.keras.utils.set_random_seed(0)

    def binary():
        return {
            "kernel_quantizer": lq.quantizers.NoOp(precision=1),
            "kernel_initializer": zx.initializers.BernoulliSign(seed=1),
        }

    return tf.keras.Sequential(
        [
            tf.keras.Input((8,)),
            lq.layers.QuantDense(16, use_bias=False, **binary()),
            lq.layers.QuantDense(2, **binary()),
        ]
    )


def new(**options):
    return CaseOptimizer(
        (Diode.is_binary_variable, Diode(alpha=0.5, beta=0.8)),
        default_optimizer=tf.keras.optimizers.SGD(0.01),
        **options,
    )


def old(**options):
    return legacy.CaseOptimizer(
        (Diode.is_binary_variable, legacy.Diode(alpha=0.5, beta=0.8)),
        default_optimizer=tf.keras.optimizers.legacy.SGD(0.01),
        **options,
    )


def trained(strategy, make):
    with strategy.scope():
        model = network()
        model.compile(make(), "mse")
    model.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize(
    "make", [new, pytest.param(old, marks=pytest.mark.slow)], ids=["new", "legacy"]
)
@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"accumulate_steps": 4}, marks=pytest.mark.slow)],
    ids=["each_batch", "accumulated"],
)
@pytest.mark.parametrize(
    "scaled",
    [
        pytest.param(False, id="plain"),
        pytest.param(True, id="loss_scale", marks=pytest.mark.slow),
    ],
)
def test_replicas_stay_equal_and_equal_one_device(make, options, scaled, two_replicas):
    """Gradients are summed over the replicas before any average or sign."""

    def optimizer():
        inner = make(**options)
        return tf.keras.mixed_precision.LossScaleOptimizer(inner) if scaled else inner

    one = trained(tf.distribute.get_strategy(), optimizer)
    two = trained(two_replicas, optimizer)
    moved = 0
    for start, ours, expected in zip(network().weights, two.weights, one.weights):
        mirrored = getattr(ours, "latent_variable", ours)
        first, second = (value.numpy() for value in mirrored.values)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(ours.numpy(), expected.numpy(), atol=1e-6)
        moved += (start.numpy() != expected.numpy()).sum()
    assert moved > 10
    steps = one.optimizer.iterations.numpy()
    assert steps == two.optimizer.iterations.numpy() == (4 if options else 18)


def falling(first, then):
    return tf.keras.optimizers.schedules.PiecewiseConstantDecay([3], [first, then])


QUOTIENT = {"gamma": 0.3, "sigma": 0.3, "bias_correction": True}
INNER = {
    "schedule": lambda api: api.Diode(falling(1.0, 0.1), alpha=0.5, beta=0.8),
    "random_bfloat16": lambda api: api.Diode(
        falling(1.0, 0.1), alpha=0.5, beta=0.8, state_dtype="bfloat16", on_zero="random"
    ),
    "without_xla": lambda api: api.Diode(falling(1.0, 0.1), jit_compile=False),
    "inertia": lambda api: api.Diode(
        falling(1.0, 0.1), alpha=0.5, beta=0.5, initial_inertia=0.1
    ),
    "constant": lambda api: api.Diode(alpha=0.5, beta=0.8),
    "filter": lambda api: api.GradientFilter(falling(0.5, 0.1), falling(0.5, 0.2)),
    "iir": lambda api: api.IIRFilter([0.1, 0.1], [1.0, -0.8]),
    "bop_second_order": lambda api: api.Bop2ndOrder(falling(0.1, 0.01), **QUOTIENT),
}
QUICK = {
    ("new", "random_bfloat16", 2),
    ("legacy", "schedule", 1),
}


@pytest.mark.parametrize(
    "api, inner, options",
    [
        pytest.param(
            *(api, inner, {"accumulate_steps": steps} if steps > 1 else {}),
            marks=() if (api, inner, steps) in QUICK else pytest.mark.slow,
            id=f"{api}-{inner}-{steps}",
        )
        for api in ("new", "legacy")
        for inner in INNER
        for steps in (1, 2)
    ],
)
def test_where_the_optimizer_is_made_does_not_matter(api, inner, options, two_replicas):
    """Plain variables, of an optimizer made outside, live on one device alone."""
    ours = optimizers if api == "new" else legacy
    keras = tf.keras.optimizers if api == "new" else tf.keras.optimizers.legacy

    def make():
        return ours.CaseOptimizer(
            (Diode.is_binary_variable, INNER[inner](ours)),
            default_optimizer=keras.Adam(falling(0.01, 0.001)),
            **options,
        )

    outside = make()
    models = [trained(two_replicas, optimizer) for optimizer in (lambda: outside, make)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    steps = 18 // options.get("accumulate_steps", 1)
    for model in models:
        for each in (model.optimizer, *model.optimizer.optimizers):
            assert each.iterations.numpy() == steps
    pairs = zip(network().get_weights(), models[0].get_weights(), strict=True)
    moved = sum(int((before != after).sum()) for before, after in pairs)
    assert moved > 10


WORKER = """
    import os, sys
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import larq_bnnopt
    import numpy as np
    import tensorflow as tf
    sys.path.insert(0, sys.argv[1])
    # Before anything else of TensorFlow: it starts the collectives.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    import test_distribution as shared
    optimizer = {"new": shared.new, "legacy": shared.old}[sys.argv[3]]
    model = shared.trained(strategy, lambda: optimizer(accumulate_steps=2))
    np.savez(sys.argv[2], *[weight.numpy() for weight in model.weights])
"""


@pytest.mark.slow
@pytest.mark.parametrize("api", ["new", "legacy"])
def test_two_processes_stay_equal_and_equal_one(api, two_addresses, tmp_path):
    cluster = {"worker": two_addresses()}
    workers = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
        }
        workers.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    textwrap.dedent(WORKER),
                    os.path.dirname(__file__),
                    tmp_path / f"{index}.npz",
                    api,
                ],
                env=environment,
                cwd=tmp_path,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for worker in workers:
        _, errors = worker.communicate(timeout=300)
        assert worker.returncode == 0, errors
    files = [np.load(tmp_path / f"{index}.npz") for index in range(2)]
    make = new if api == "new" else old
    single = trained(tf.distribute.get_strategy(), lambda: make(accumulate_steps=2))
    for name, expected in zip(files[0].files, single.weights):
        np.testing.assert_array_equal(files[0][name], files[1][name])
        np.testing.assert_allclose(files[0][name], expected.numpy(), atol=1e-6)
    start = network().weights
    assert any((a.numpy() != b.numpy()).any() for a, b in zip(start, single.weights))
