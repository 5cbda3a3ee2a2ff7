"""No random network converts to something else in silence."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import converters
from converters.auditing import quantized_layers

from .random_networks import Network, inputs_of


def check(model, rewrites):
    """Converts, and holds the result against what `convert` promises."""
    inputs = inputs_of(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            conversion = converters.convert(model, inputs=inputs, **rewrites)
        except converters.ConversionError as error:
            text = str(error)
            assert "would not say what" not in text, text
            assert "Larq Compute Engine made a file" not in text, text
            names = [*model.input_names, *(part.name for part in model.submodules)]
            assert any(name in text for name in names), text
            return
    audit, verification = conversion.report.audit, conversion.report.verification
    told = [str(warning.message) for warning in caught]
    named = [layer.name for layer in audit.layers]
    assert named == [layer.name for layer in quantized_layers(model)]
    for layer in audit.stayed_float:
        assert layer.reason and layer.fix and "no pattern" not in layer.reason
        assert any(t.startswith(f"{layer.name} (") and layer.reason in t for t in told)
    assert verification.passed
    # The same without our own comparison: a tie may move an output or two.
    expected = model.predict(inputs, verbose=0)
    received = converters.Interpreter(conversion.content).predict(inputs)
    if not isinstance(received, dict):
        expected, received = {"output": expected}, {"output": received}
    else:
        expected = dict(zip(model.output_names, expected))
    for name, ours in expected.items():
        scale = max(np.abs(ours).max(), 1e-30)
        apart = np.abs(ours - received[name]).reshape(len(ours), -1).max(axis=1)
        assert (apart <= 1e-4 * scale).mean() > 0.5, name


def run(data):
    network = Network(data.draw)
    model = network.model()
    rewrites = data.draw(st.sampled_from([{}, {}, {}, {"rewrites": None}]))
    note("\n".join([*network.lines, str(rewrites)]))
    check(model, rewrites)


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
