"""The page of the documentation that holds the table of all claims."""

from __future__ import annotations

import os
from collections.abc import Iterable

from larq_bnnopt.claims.claim import STATES, Claim
from larq_bnnopt.claims.table import CLAIMS, PAPERS, counts
from larq_bnnopt.texts import markdown_table

_HEAD = """\
# Claims of the papers

<!-- Made by `bnnopt claims --markdown`. -->

{total} claims: each equation, figure, table row and training set-up of the four papers
that can be made a test or a study.

{states}

{counts}

Commands are typed in the root folder of the repository. `bnnopt claims` shows the same
table in a terminal, `--json` as data.
"""
_TITLE = "## Paper {paper}: {name}\n\n"


def claims_page() -> str:
    """Returns the page in Markdown."""
    parts = [
        _HEAD.format(total=len(CLAIMS), states=_states(), counts=_counts().rstrip())
    ]
    for paper, name in PAPERS.items():
        title = _TITLE.format(paper=paper, name=name)
        parts.append(title + claims_table(c for c in CLAIMS if c.paper == paper))
    return "\n".join(parts)


def claims_table(claims: Iterable[Claim]) -> str:
    """Returns claims as a table in Markdown, with links for a page in docs/."""
    heading = ("id", "place", "claim", "state", "shown by, or why not")
    return markdown_table(heading, map(_row, claims))


def _row(claim: Claim) -> tuple[str, ...]:
    state = claim.state
    if claim.where:
        link = os.path.relpath(claim.where, "docs")
        state = f"[{claim.state}]({link})"
    reason = f"{claim.reason[:1].upper()}{claim.reason[1:]}"
    if reason and not reason.endswith("."):
        reason += "."
    command = f"`{claim.command}`" if claim.command else ""
    last = " ".join(filter(None, (reason, command)))
    return (claim.id, claim.place, claim.claim, state, last)


def _states() -> str:
    lines = [f"- **{name}**: {meaning}" for name, meaning in STATES.items()]
    return "\n".join(lines)


def _counts() -> str:
    heading = ("paper", *STATES, "all")
    rows: list[tuple[object, ...]] = [
        (f"{paper} {PAPERS[paper]}", *by.values(), sum(by.values()))
        for paper, by in counts().items()
    ]
    sums = [sum(by[state] for by in counts().values()) for state in STATES]
    return markdown_table(heading, [*rows, ("all", *sums, sum(sums))])
