"""The table of all claims, and the choice of some of them."""

from __future__ import annotations

import dataclasses

from larq_bnnopt.claims.claim import STATES, Claim
from larq_bnnopt.claims.commands import studied
from larq_bnnopt.claims.paper_000 import claims_of_paper_000
from larq_bnnopt.claims.paper_001 import claims_of_paper_001
from larq_bnnopt.claims.paper_002 import claims_of_paper_002
from larq_bnnopt.claims.paper_003 import claims_of_paper_003
from larq_bnnopt.texts import require_known

# Number of a paper -> its short name.
PAPERS = {
    "000": "AdamBNN",
    "001": "gradient filtering",
    "002": "MeliusNet",
    "003": "Diode",
}
# Studies that were run at their full budget, with the verdicts of docs/results.
RESULTS = {
    "paper_000_dead_weights": "holds",
    "paper_000_loss_landscape": "holds",
    "paper_000_weight_decay": "holds",
    "paper_001_fig2_filters": "holds",
}


def _with_result(claim: Claim) -> Claim:
    """Returns a claim with its study's verdict, in part where there is none yet."""
    study = claim.command.removeprefix(studied(""))
    if study == claim.command:
        return claim
    verdict = RESULTS.get(study)
    remark = f"it {verdict} there" if verdict else "that was not run in full yet"
    reason = f"{claim.reason}; {remark}" if claim.reason else remark
    state = claim.state if verdict else claim.state.replace("yes", "part")
    return dataclasses.replace(claim, state=state, reason=reason)


CLAIMS: tuple[Claim, ...] = tuple(
    map(
        _with_result,
        (
            *claims_of_paper_000(),
            *claims_of_paper_001(),
            *claims_of_paper_002(),
            *claims_of_paper_003(),
        ),
    )
)


def select(paper: str | None = None, state: str | None = None) -> tuple[Claim, ...]:
    """Returns the claims of a paper, or of a state.

    Args:
        paper: Number of the paper. Defaults to `None`, all.
        state: One of `STATES`. Defaults to `None`, all.

    Raises:
        ValueError: For an unknown paper or state; the message names the known ones.
    """
    require_filter(paper, state)
    return tuple(
        claim
        for claim in CLAIMS
        if paper in (None, claim.paper) and state in (None, claim.state)
    )


def require_filter(paper: str | None, state: str | None) -> None:
    """Raises a ValueError for an unknown paper or state."""
    if paper is not None:
        require_known("paper", paper, PAPERS)
    if state is not None:
        require_known("state", state, STATES)


def counts() -> dict[str, dict[str, int]]:
    """Returns the number of claims by paper and state.

    Example:
        >>> sum(counts()["000"].values())
        7
    """
    table = {paper: dict.fromkeys(STATES, 0) for paper in PAPERS}
    for claim in CLAIMS:
        table[claim.paper][claim.state] += 1
    return table
