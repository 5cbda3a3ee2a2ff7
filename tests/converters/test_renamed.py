"""Old names of result fields: they work for one release, and stay the keys of JSON."""

import dataclasses
import warnings

import pytest

import converters
from converters.packages.classifying import Classifier
from converters.renamed import plain
from converters.verification.signs import LayerParity
from converters.verification.steps import StepParity
from converters.verification.witness import Witness

# Result -> its old names.
OLD_NAMES = {
    converters.Verification: {
        "first_wrong": "first_mismatch",
        "moved": "mismatched",
        "moved_with_tie": "mismatched_near_zero",
        "unexplained": "unexplained_mismatches",
        "runner": "backend_name",
    },
    LayerParity: {"ties": "flipped_near_zero", "wrong": "unexplained_flips"},
    StepParity: {
        "apart": "off_by_one",
        "wrong": "mismatched",
        "first_wrong": "first_mismatch",
    },
    Witness: {"runner": "backend_name"},
    converters.Replay: {
        "ties": "flipped_near_zero",
        "wrong": "unexplained_flips",
        "first_wrong": "first_mismatch",
        "moved": "mismatched",
        "moved_with_tie": "mismatched_near_zero",
        "runner": "backend_name",
    },
    converters.Profile: {"runner": "backend_name", "machine": "host"},
}


def of_field_names(kind):
    """A result in which each field holds its own name."""
    result = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(result, field.name, field.name)
    return result


@pytest.mark.parametrize("kind", OLD_NAMES, ids=lambda kind: kind.__name__)
def test_old_names_warn_and_give_the_new_field(kind):
    result = of_field_names(kind)
    for old, new in OLD_NAMES[kind].items():
        owner = kind.__name__
        message = (
            f"{owner}.{old} is deprecated and goes with the next release: use "
            f"{owner}.{new}."
        )
        with pytest.warns(DeprecationWarning) as caught:
            assert getattr(result, old) == new
        assert [str(w.message) for w in caught] == [message]
        assert caught[0].filename == __file__


@pytest.mark.parametrize("kind", OLD_NAMES, ids=lambda kind: kind.__name__)
def test_json_keeps_the_old_names(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = plain(of_field_names(kind))
    new = {new: old for old, new in OLD_NAMES[kind].items()}
    names = [field.name for field in dataclasses.fields(kind)]
    assert content == {new.get(name, name): name for name in names}
    assert not set(new) & set(content)


def test_a_classifier_has_the_old_name_too():
    preprocessing = converters.Preprocessing((2, 2), 1)
    classifier = Classifier(len, ["dark", "light"], preprocessing, runner="NumPy")
    assert classifier.backend_name == "NumPy"
    with pytest.warns(DeprecationWarning, match=r"use Classifier\.backend_name"):
        assert classifier.runner == "NumPy"


def test_data_within_data_is_plain():
    inner = LayerParity("first", 3, 1, 0, 0.5)
    assert plain({"layers": (inner, [inner]), "name": "x"}) == {
        "layers": (
            {"layer": "first", "values": 3, "ties": 1, "wrong": 0, "farthest": 0.5},
            [{"layer": "first", "values": 3, "ties": 1, "wrong": 0, "farthest": 0.5}],
        ),
        "name": "x",
    }
