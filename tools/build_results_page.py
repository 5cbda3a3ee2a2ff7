"""Writes docs/results/index.md, the table of the studies whose results are published.

python tools/build_results_page.py
"""

from __future__ import annotations

import pathlib

from larq_bnnopt import studies
from larq_bnnopt.texts import markdown_table

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "results" / "index.md"
_HEAD = """\
# Results of studies

<!-- Made by tools/build_results_page.py. -->

Each page has the claim, the numbers, a picture and the command, commit and processor
that they come from; [Studies](../studies.md) says how to read them. The networks and
data are small: a result says what holds there.

"""


def page() -> str:
    """Returns the page."""
    rows = []
    for name in studies.names():
        folder = PAGE.parent / name
        if folder.is_dir():
            study = studies.get(name)
            place = f"{study.paper}, {study.place}"
            link = f"[{study.title}]({name}/result.md)"
            rows.append((place, link, studies.last_verdict([folder]), study.claim))
    return _HEAD + markdown_table(["paper", "study", "here it", "claim"], rows)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
