"""What a terminal shows, and a pipe does not."""

import io

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
