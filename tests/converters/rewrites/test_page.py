"""docs/conversion.md lists every rewrite, and every reason why a layer stays float."""

import ast
import inspect
import pathlib
import re

import pytest

from converters.auditing import reasons
from converters.rewrites import REWRITES

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "conversion.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text("utf-8")


def pairs():
    """Yields each reason and its cure in the source, as the parts that are fixed."""
    for node in ast.walk(ast.parse(inspect.getsource(reasons))):
        values = getattr(node, "value", None)
        is_pair = isinstance(node, (ast.Return, ast.Assign))
        if is_pair and isinstance(values, ast.Tuple) and len(values.elts) == 2:
            found = [fixed_parts(element) for element in values.elts]
            if all(found):
                yield pytest.param(*found, id=found[0][-1].strip())


def fixed_parts(expression):
    """Returns the constant parts of a string, also of one with values in it."""
    parts = expression.values if isinstance(expression, ast.JoinedStr) else [expression]
    return [
        part.value
        for part in parts
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]


def test_every_rewrite_has_a_row_and_a_paragraph(page):
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == list(REWRITES)
    assert re.findall(r"^- `(\w+)`: ", page, re.M) == list(REWRITES)


def test_the_reasons_are_found():
    assert len(list(pairs())) >= 13


@pytest.mark.parametrize(("reason", "cure"), pairs())
def test_every_reason_has_a_row_with_its_cure(reason, cure, page):
    rows = [row.replace("`", "") for row in page.splitlines() if row.startswith("| ")]

    def holds(text, parts):
        return all(part.strip() in text for part in parts)

    cells = [row.strip("| ").split(" | ") for row in rows]
    assert any(
        len(row) == 2 and holds(row[0], reason) and holds(row[1], cure) for row in cells
    )


def test_the_reason_without_a_pattern_is_there(page):
    assert f"| {reasons.NO_PATTERN} |" in page
