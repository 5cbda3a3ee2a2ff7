"""No random network converts to something else in silence."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import converters
from converters.graph.kernels import quantized_layers
from converters.model_arrays import input_names, output_names
from converters.verification.result import UNDETERMINED

from .random_networks import Network, inputs_of


def check(model, options):
    """Converts, and holds the result against what `convert` promises."""
    inputs = inputs_of(model)
    if options.pop("calibrated", False):
        options["calibration"] = inputs
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            conversion = converters.convert(model, inputs=inputs, **options)
        except converters.ConversionError as error:
            assert_is_named(model, str(error), "calibration" in options)
            return
    audit, verification = conversion.report.audit, conversion.report.verification
    warned = [str(warning.message) for warning in caught]
    named = [layer.name for layer in audit.layers]
    assert named == [layer.name for layer in quantized_layers(model)]
    for layer in audit.stayed_float:
        assert layer.reason and layer.fix and "no pattern" not in layer.reason
        assert any(
            t.startswith(f"{layer.name} (") and layer.reason in t for t in warned
        )
    assert verification.passed
    if "calibration" not in options:
        assert_equal(model, inputs, conversion.content)


def assert_is_named(model, text, calibrated):
    """A refusal is none of a fault of ours, and names what it is about."""
    assert "fault of this package" not in text, text
    assert "Larq Compute Engine made a file" not in text, text
    if calibrated:  # Small networks may lose their predictions to the steps.
        assert "part at the layer" not in text, text
        return
    assert "would not compute what" not in text or UNDETERMINED in text, text
    names = [
        *input_names(model),
        *output_names(model),
        model.name,
        *(part.name for part in model.submodules),
    ]
    assert any(name in text for name in names), text


def assert_equal(model, inputs, content):
    """The same without our own comparison: flips near zero may change few outputs."""
    interpreter = converters.Interpreter(content)
    apart = []
    for index in range(len(next(iter(inputs.values())))):
        one = {name: array[index : index + 1] for name, array in inputs.items()}
        given = one if isinstance(model.input, dict) else list(one.values())
        expected = tf.nest.flatten(
            model(given if len(given) > 1 else next(iter(one.values())))
        )
        received = interpreter.predict(one)
        if not isinstance(received, dict):
            received = {output_names(model)[0]: received}
        assert set(received) == set(output_names(model))
        pairs = zip(expected, (received[name] for name in output_names(model)))
        apart.append(
            [
                np.abs(np.atleast_1d(ours) - theirs).max()
                / max(np.abs(ours).max(), 1e-30)
                for ours, theirs in pairs
            ]
        )
    assert (np.array(apart) <= 1e-4).mean(axis=0).min() > 0.5, apart


def run(data):
    network = Network(data.draw)
    model = network.model()
    options = [{}, {}, {}, {"rewrites": None}, {"calibrated": True}]
    options.append({"calibrated": True, "int8_io": True})
    options = dict(data.draw(st.sampled_from(options)))
    note("\n".join([*network.lines, str(options)]))
    check(model, options)


def thorough(examples):
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@thorough(8)
@given(st.data())
def test_random_networks(data):
    run(data)


@pytest.mark.slow
@thorough(500)
@given(st.data())
def test_many_random_networks(data):
    run(data)
