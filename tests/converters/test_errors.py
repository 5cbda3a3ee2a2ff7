"""Unexpected exceptions become a ConversionError that names the stage."""

import warnings

import pytest

import converters
from converters import conversion, errors
from converters.auditing import audit as auditing
from converters.auditing import matching
from converters.verification import verify as verification

from .conftest import conv, noise, one_layer


@pytest.fixture(scope="module")
def model():
    return one_layer(conv())


def broken(*args, **options):
    raise KeyError(21)


@pytest.mark.parametrize(
    "place, stage",
    [
        ((conversion, "freeze"), "The tracing of"),
        ((conversion, "rewrite"), "The rewriting of"),
        ((conversion, "insert_fake_quants"), "The calibration of"),
        ((conversion, "lower"), "The conversion of"),
        ((verification, "gather"), "The comparison of"),
        ((matching, "match_layers"), "The audit of"),
    ],
)
def test_a_conversion_names_the_stage(model, place, stage, monkeypatch, tmp_path):
    monkeypatch.setattr(*place, broken)
    path, inputs = tmp_path / "model.tflite", noise(model)
    calibration = {"calibration": inputs} if place[1] == "insert_fake_quants" else {}
    with pytest.raises(converters.ConversionError, match=stage) as caught:
        converters.convert(model, path, inputs=inputs, **calibration)
    text = str(caught.value)
    assert model.name in text and "KeyError: 21" in text
    assert "fault of this package" in text and "report" in text
    assert isinstance(caught.value.__cause__, KeyError)
    assert not path.exists()


def test_the_operation_of_a_rewrite_is_named(model, monkeypatch):
    from converters.rewrites import REWRITES

    monkeypatch.setitem(REWRITES, "fuse_constant_adds", broken)
    with pytest.raises(converters.ConversionError, match="fuse_constant_adds"):
        converters.convert(model, inputs=None)


def test_verify_and_audit_name_the_stage(model, monkeypatch):
    content = converters.convert(model, inputs=None).content
    monkeypatch.setattr(verification, "freeze", broken)
    with pytest.raises(converters.ConversionError, match=r"The tracing of .*KeyError"):
        converters.verify(model, content, noise(model))
    monkeypatch.setattr(matching, "match_layers", broken)
    with pytest.raises(converters.ConversionError, match=r"The audit of .*KeyError"):
        converters.audit(model, content)
    monkeypatch.setattr(auditing, "real_valued_operators", broken)
    with pytest.raises(converters.ConversionError, match=r"The audit of a file"):
        converters.audit(None, content)


@pytest.mark.parametrize("kind", [MemoryError, KeyboardInterrupt, UserWarning])
def test_other_exceptions_pass_through(kind):
    with warnings.catch_warnings(), pytest.raises(kind), errors.reported("Something"):
        raise kind("as it is")
