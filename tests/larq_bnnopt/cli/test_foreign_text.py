"""Foreign text in reports and on terminals is shown, and has no effect."""

import csv
import html.parser
import json

import pytest

from larq_bnnopt import recipes
from larq_bnnopt.callbacks import summaries
from larq_bnnopt.cli import console, main
from larq_bnnopt.recipes.samples import Sample, Samples

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}</style>&"
STEERS = "\x1b[2J\x1b]0;owned\x07\x9b31m\rdog\x7f"


class Page(html.parser.HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, tuple(name for name, _ in attributes)))

    def handle_data(self, data):
        self.texts.append(data)


def rows_of(path, *rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def run_in(parent, name, text):
    """A run of an epoch, with a text wherever a run holds text of others."""
    run = recipes.Run.create(parent / name)
    recipe = recipes.OneStep(epochs=1).as_dict() | {"model": text, "dataset": text}
    run.write_config(recipe)
    config = json.loads(run.config.read_text())
    config["versions"] = {text: text}
    run.config.write_text(json.dumps(config))
    run.history.write_text("epoch,loss,val_accuracy,flip_ratio\n0,1.0,0.5,0.1\n")
    rows_of(run.flips, [*summaries.FIRST_COLUMNS, text], [0, 0, 0, 0.1, 0.1])
    layers = summaries.layers_path(run.flips)
    rows_of(layers, ["epoch", "layer", text], [0, text, text])
    run.write_text("report.json", json.dumps({"summary": [[text, text]]}))
    shown = (Sample(b"", text, text, 0.5), Sample(b"", text, f"{text}2", None))
    Samples(1, 2, shown).write(run)
    return run


@pytest.fixture
def plain_page(tmp_path):
    run = run_in(tmp_path / "plain", "run", "dog")
    return Page(recipes.write_page(run).read_text())


def test_a_page_has_the_elements_of_a_plain_one(tmp_path, plain_page):
    """Not one element or attribute more, wherever the text stands."""
    folder = EVIL.replace("/", "")  # Which a file system does not take.
    run = run_in(tmp_path, folder, EVIL)
    page = Page(recipes.write_page(run).read_text())
    assert page.elements == plain_page.elements
    assert sum(EVIL in text for text in page.texts) >= 8 and any(
        folder in text for text in page.texts
    )
    allowed = ("src", "alt", "lang", "charset", "name", "content", "class", "colspan")
    for _, attributes in page.elements:
        assert set(attributes) <= set(allowed), attributes


def test_control_characters_are_escaped_on_a_terminal(tmp_path, capsys):
    run_in(tmp_path, "run", STEERS)
    assert main(["runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert r"\x1b[2J" in said and "dog" in said
    assert not set(said) & {"\x1b", "\x07", "\x9b", "\x7f", "\r"}


@pytest.mark.parametrize("has_rich", [True, False])
@pytest.mark.parametrize(
    "show",
    [
        lambda: console.print_line(STEERS),
        lambda: console.print_table(STEERS, [(STEERS, STEERS)]),
        lambda: console.print_rows(STEERS, [(STEERS, "b"), ("1", STEERS)]),
    ],
)
def test_what_is_shown_is_plain(show, has_rich, monkeypatch, capsys):
    monkeypatch.setattr(console, "_HAS_RICH", has_rich)
    show()
    said = capsys.readouterr().out
    assert "dog" in said
    assert not set(said) & {"\x1b", "\x07", "\x9b", "\x7f", "\r"}


def test_an_error_is_plain(tmp_path, capsys):
    path = tmp_path / STEERS
    assert main(["runs", str(path)]) == 2
    said = capsys.readouterr().err
    assert r"\x1b[2J" in said and "\x1b" not in said
