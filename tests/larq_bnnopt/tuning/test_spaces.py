"""Search spaces: their data fit the fields of recipes, and wrong ones are named."""

import math
import pathlib

import pytest

from larq_bnnopt import recipe_fields, tuning
from larq_bnnopt.cli import main
from larq_bnnopt.tuning import SPACES, Choices, Span
from larq_bnnopt.tuning.spaces import with_values

ROOT = pathlib.Path(__file__).parents[3]


def read(*texts, kind="one_step", **fields):
    return tuning.read_space(texts, kind, fields)


def test_every_optimizer_has_a_space():
    choices = recipe_fields.settings()["optimizer"].choices
    assert SPACES.keys() >= choices.keys()


@pytest.mark.parametrize("optimizer", recipe_fields.settings()["optimizer"].choices)
def test_a_space_lies_in_the_ranges_of_its_fields(optimizer):
    space = tuning.default_space(optimizer)
    for name, span in space.items():
        valid = recipe_fields.range_of(name, optimizer)
        assert span.low in valid and span.high in valid
        assert math.isfinite(span.high / span.low)
    for kind in ("one_step", "two_step"):
        tuning.require_space(space, kind, {"optimizer": optimizer})
    # All constants of the optimizer that are one number.
    fields = recipe_fields.settings()
    own = {name for name, known in fields.items() if optimizer in known.ranges}
    assert own - space.keys() <= {"eta", "initial_inertia", "order", "a", "b"}


def test_texts_become_ranges():
    assert read("alpha=0.5:0.9") == {"alpha": Span(0.5, 0.9)}
    assert read("alpha=0.5:0.9:log1m")["alpha"].scale == "log1m"
    assert read("learning-rate=1e-4:1:log") == {"learning_rate": Span(1e-4, 1.0, "log")}
    assert read("beta") == {"beta": SPACES["diode"]["beta"]}
    assert read("batch_size=16:128:log") == {
        "batch_size": Span(16, 128, "log", is_integer=True)
    }
    assert read("augment=true,false") == {"augment": Choices((True, False))}
    assert read("schedule=cosine,linear")["schedule"].values == ("cosine", "linear")


def test_options_of_the_model_are_tuned():
    space = read(
        "model_options.squeeze_excite=true,false",
        "model-option.clip_value=0.5:2.0",
        model="bnext18",
    )
    assert space["model_options.squeeze_excite"].values == (True, False)
    assert space["model_options.clip_value"] == Span(0.5, 2.0)
    fields = {"model_options": {"stem": "cifar"}, "alpha": None}
    values = {"model_options.squeeze_excite": False, "alpha": 0.9}
    assert with_values(fields, values) == {
        "model_options": {"stem": "cifar", "squeeze_excite": False},
        "alpha": 0.9,
    }
    assert fields == {"model_options": {"stem": "cifar"}, "alpha": None}


def test_a_span_is_written_as_it_is_read():
    for span in SPACES["sgd"].values():
        assert read(f"learning_rate={span}", optimizer="sgd") == {"learning_rate": span}


WRONG = [
    (["gama=0:1"], {}, "No field 'gama'. Nearest: gamma"),
    (["alpha"], {"optimizer": "sgd"}, "optimizer 'sgd' has no alpha. Those that"),
    (["momentum"], {}, "momentum has no range of its own for optimizer 'diode'"),
    (["momentum=0.1:0.9"], {}, "momentum has no effect without sgd"),
    (["alpha=0.9:0.5"], {}, "The range of alpha is empty: 0.9:0.5"),
    (["alpha=0.9:0.9"], {}, "The range of alpha is empty"),
    (["alpha=0.9:1"], {}, r"alpha must be in \[0, 1\). Received: 1"),
    (["alpha=0:0.9:log"], {}, "A logarithm needs a range above 0. Received for alpha"),
    (["final_factor=0.1:1:log1m"], {}, "log1m needs a range below 1"),
    (["alpha=0.1:0.9:sqrt"], {}, "No scale 'sqrt'. Known: linear, log, log1m"),
    (["alpha=0.1:0.2:log:log"], {}, "The range of alpha is alpha=LOW:HIGH or"),
    (["alpha=0.1:x"], {}, "alpha must be a number. Received: 'x'"),
    (["alpha=0.1:inf"], {}, "The range of alpha must be finite"),
    (["batch_size=1.5:3"], {}, "batch_size must be an integer. Received: '1.5'"),
    (["augment=yes,no"], {}, "augment must be true or false. Received: 'yes'"),
    (["schedule=cosine,linaer"], {}, "No schedule 'linaer'. Nearest: linear"),
    (["schedule=cosine"], {}, "schedule has one value: cosine"),
    (["schedule=0:1"], {}, "The range of schedule is a list of values"),
    (["alpha=0.1:0.2", "alpha"], {}, "The range of alpha is given twice"),
    (["optimizer=diode,sgd"], {}, "optimizer cannot be tuned: tune each optimizer"),
    (["seed=0:5"], {}, "seed cannot be tuned: --seeds repeats"),
    (["model_options.stem=a,b"], {}, "has no option 'stem'"),
    ([], {}, "Nothing is tuned"),
]


@pytest.mark.parametrize("texts, fields, message", WRONG)
def test_a_wrong_space_is_named(texts, fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(*texts, **fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--space", "gama=0:1"], "No field 'gama'. Nearest: gamma"),
        (["--space", "alpha", "--alpha", "0.9"], "alpha is tuned; leave out --alpha"),
        (["--optimizer", "iir", "--learning-rate", "0.1"], "Nothing is tuned"),
        (["--trials", "0"], "needs a positive integer. Received: '0'"),
        (["--optimizer", "dioed"], "No optimizer 'dioed'. Nearest: diode"),
        (["--preset", "diode_imagenet", "--space", "gamma"], "has no gamma"),
        (["--resume", "runs/x"], "unknown option '--resume'"),
        (["--space", "model_options.units=1,2"], "has no option 'units'"),
    ],
)
def test_errors_of_the_command_come_first(words, message, capsys, monkeypatch):
    import larq_bnnopt.cli

    def too_late():
        raise AssertionError("TensorFlow was loaded.")

    monkeypatch.setattr(larq_bnnopt.cli, "import_tensorflow", too_late)
    try:
        code = main(["tune", *words])
    except SystemExit as ended:
        code = ended.code
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and message in error


def test_the_page_has_every_space():
    page = (ROOT / "docs" / "tuning.md").read_text("utf-8")
    for optimizer, space in SPACES.items():
        cells = ", ".join(f"`{name}={span}`" for name, span in space.items())
        assert f"| `{optimizer}` | {cells} |" in page
