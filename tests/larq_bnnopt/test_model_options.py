"""Options of a model: names and types as its function has them, without TensorFlow."""

import inspect
import json

import numpy as np
import pytest

import zoo_extensions as zx
from larq_bnnopt import model_options
from larq_bnnopt.recipes import OneStep


@pytest.mark.parametrize("name", zx.list_models())
def test_the_arguments_of_every_function_are_known(name):
    (function,) = (
        value for value in vars(zx).values()
        if getattr(value, "architecture", {}).get("name") == name
    )  # fmt: skip
    parameters = inspect.signature(function).parameters
    assert list(model_options._types(name)) == list(parameters)
    for argument, parameter in parameters.items():
        if argument in model_options.SET_BY_RECIPE:
            with pytest.raises(ValueError, match=f"^{argument} is no option of a mo"):
                model_options.checked(name, {argument: parameter.default})
        else:
            # Also through the text of the command.
            given = {argument: parameter.default}
            text = model_options.in_words(given)
            found = model_options.checked(name, given)
            assert model_options.parsed(name, [text]) == found
            assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "text, value",
    [
        ("squeeze_excite=true", True),
        ("squeeze_excite=False", False),
        ("stem=cifar", "cifar"),
        ("stem=none", "none"),
        ("weights=none", None),
        ("weights=a=b.h5", "a=b.h5"),
        ("clip_value=1", 1),
        ("clip_value=1.5e-1", 0.15),
    ],
)
def test_a_text_becomes_a_value_of_the_arguments_type(text, value):
    ((_, found),) = model_options.parsed("BNext-18", [text]).items()
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("squeeze_excite=1", "option squeeze_excite of bnext18 must be true or false."),
        ("clip_value=true", "must be a number. Received: 'true'"),
        ("clip_value=nan", "must be a number"),
        ("clip_value=Infinity", "must be a number"),
        ("=1", "is NAME=VALUE, such as squeeze_excite=false. Received: '=1'"),
        ("", "is NAME=VALUE"),
        ("units=3", "bnext18 has no option 'units'. "),
        ("precision=float", "the field precision sets it"),
    ],
)
def test_a_wrong_text_is_reported(text, message):
    with pytest.raises(ValueError, match=message) as error:
        model_options.parsed("bnext18", [text])
    assert "\n" not in str(error.value)


def test_an_option_is_given_once():
    with pytest.raises(ValueError, match="The option stem is given twice"):
        model_options.parsed("bnext18", ["stem=cifar", "stem=conv7x7"])


def test_values_of_numpy_become_plain():
    options = {"clip_value": np.float32(1.5), "squeeze_excite": np.bool_(False)}
    recipe = OneStep(model="bnext18", model_options=options)
    assert recipe.model_options == {"clip_value": 1.5, "squeeze_excite": False}
    assert json.loads(json.dumps(recipe.as_dict()))["model_options"] == {
        "clip_value": 1.5,
        "squeeze_excite": False,
    }
    # Nobody's later change reaches the recipe.
    options["stem"] = "cifar"
    assert "stem" not in recipe.model_options


def test_sequences_and_choices_are_read_by_their_types():
    """No function has such arguments yet."""
    import ast

    def kind(text):
        return ast.parse(text, mode="eval").body

    read, is_one = model_options._read, model_options._is_one
    blocks = kind("Sequence[int] | None")
    assert read("4,4,6", blocks) == [4, 4, 6] and read("[4]", blocks) == [4]
    assert read("none", blocks) is None and read("4,x", blocks) == "4,x"
    assert is_one([4, 4], blocks) and not is_one([4, 0.5], blocks)
    choice = kind("Literal['float', 'binary']")
    assert is_one("float", choice) and not is_one("real", choice)
    assert model_options._in_words(choice) == "float or binary"
