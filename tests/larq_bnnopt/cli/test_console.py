"""Console output: what a terminal shows and a pipe does not."""

import io
import warnings

import pytest
from rich.console import Console

from larq_bnnopt.cli import console


@pytest.mark.parametrize("terminal", [True, False])
def test_stages_are_shown_on_a_terminal_alone(terminal, monkeypatch):
    file = io.StringIO()
    screen = Console(file=file, force_terminal=terminal, width=80)
    monkeypatch.setattr(console, "console", screen)
    with console.stages() as tell:
        # Brackets are no markup.
        tell("writing [a]/model.tflite")
        screen.print("a line")
    shown = file.getvalue()
    assert ("writing [a]/model.tflite" in shown) == terminal
    assert terminal or shown == "a line\n"


def test_warnings_are_lines_at_once_and_once(capsys, monkeypatch):
    monkeypatch.setattr(console, "print_line", print)
    with console.warnings_as_lines():
        for text in ("[one]", "[one]", "two"):
            warnings.warn(text, UserWarning, stacklevel=1)
        warnings.warn("of other packages", DeprecationWarning, stacklevel=1)
        assert capsys.readouterr().out == "Warning: [one]\nWarning: two\n"
