"""Every pattern that Larq Compute Engine treats in a way of its own, one model each."""

import re
import warnings

import pytest

import converters

from .small_models import MODELS


def converted(row):
    """Returns the report of a row's conversion, and what is told of float layers."""
    model = row.model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = converters.convert(model, inputs=row.inputs()).report
    return report, [str(w.message) for w in caught if "stayed float" in str(w.message)]


@pytest.mark.parametrize("name", [n for n, row in MODELS.items() if not row.refused])
def test_converts_as_the_table_says(name):
    row = MODELS[name]
    report, told = converted(row)
    audit, verification = report.audit, report.verification
    expected = {"LceBconv2d": row.binary, **row.operators}
    found = {operator: audit.operators.get(operator, 0) for operator in expected}
    assert found == expected
    reasons = {layer.name: layer.reason for layer in audit.stayed_float}
    assert reasons.keys() == row.stays_float.keys()
    for layer, words in row.stays_float.items():
        assert re.search(words, reasons[layer])
        assert any(text.startswith(f"{layer} (") for text in told)
    assert len(told) == len(reasons)
    assert verification.passed and verification.untraced == row.untraced
    if not row.untraced:
        assert verification.output_difference <= 1e-5


@pytest.mark.parametrize("name", [n for n, row in MODELS.items() if row.refused])
def test_refuses_as_the_table_says(name):
    row = MODELS[name]
    # The comparison need not find it.
    with pytest.raises(converters.ConversionError, match=row.refused):
        converters.convert(row.model(), inputs=None)


def test_the_table_is_long():
    assert len(MODELS) >= 60
