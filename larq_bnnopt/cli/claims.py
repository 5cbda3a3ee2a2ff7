"""Lists every claim of the four papers, whether it is here and what shows it.

With an id: one claim, with its command.
"""

from __future__ import annotations

import argparse
import textwrap

from larq_bnnopt import claims
from larq_bnnopt.cli.parser import Parser
from larq_bnnopt.texts import require_known

_WIDTH = 44


def add_arguments(parser: Parser) -> None:
    """Adds the options of the command."""
    parser.add_argument("id", nargs="?", help="one claim, such as 001-fig-5")
    parser.add_argument("--paper", help=f"the claims of {_or(claims.PAPERS)}")
    parser.add_argument("--state", help=f"the claims that are {_or(claims.STATES)}")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--markdown",
        action="store_true",
        help="print Markdown; of all claims, the page docs/claims.md",
    )
    form.add_argument("--json", action="store_true", help="print JSON")


def check(arguments: argparse.Namespace) -> None:
    """Raises an error at a wrong paper, state or id."""
    claims.require_filter(arguments.paper, arguments.state)
    if arguments.id is None:
        return
    if arguments.paper is not None or arguments.state is not None:
        raise ValueError("An id names one claim; leave out --paper and --state.")
    known = [claim.id for claim in claims.CLAIMS]
    require_known("claim", arguments.id, known, "`bnnopt claims` shows all.")


def run(arguments: argparse.Namespace) -> int:
    """Prints the claims."""
    import json

    found = claims.select(arguments.paper, arguments.state)
    if arguments.id is not None:
        found = tuple(claim for claim in found if claim.id == arguments.id)
    if arguments.json:
        rows = [claim.as_dict() for claim in found]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif arguments.markdown:
        whole = found == claims.CLAIMS
        print(claims.claims_page() if whole else claims.claims_table(found), end="")
    elif arguments.id is not None:
        _print_claim(found[0])
    else:
        _print_claims(found)
    return 0


def _print_claim(claim: claims.Claim) -> None:
    from larq_bnnopt.cli.console import print_line

    paper = f"paper {claim.paper} ({claims.PAPERS[claim.paper]})"
    print_line(f"{claim.id}: {paper}, {claim.place}")
    print_line(claim.claim)
    print_line(f"{claim.state}: {claim.reason or claims.STATES[claim.state]}")
    # A line of their own: for copying.
    for text in filter(None, (claim.command, claim.where)):
        print_line(text)


def _print_claims(found: tuple[claims.Claim, ...]) -> None:
    from larq_bnnopt.cli.console import print_line, print_rows

    if found:
        print_rows(_summary(found), [("id", "state", "claim", "reason"), *_rows(found)])
    else:
        print_line("No claim is of this state.")
    print_line("The command of one: `bnnopt claims ID`; of all: --markdown or --json.")


def _rows(found: tuple[claims.Claim, ...]) -> list[tuple[str, ...]]:
    return [
        (one.id, one.state, _narrow(f"{one.place}: {one.claim}"), _narrow(one.reason))
        for one in found
    ]


def _narrow(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_on_hyphens=False)


def _summary(found: tuple[claims.Claim, ...]) -> str:
    numbers = [(sum(c.state == state for c in found), state) for state in claims.STATES]
    by_state = ", ".join(f"{number} {state}" for number, state in numbers if number)
    return f"{len(found)} claims: {by_state}"


def _or(names: dict[str, str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"
