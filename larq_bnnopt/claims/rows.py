"""Claims of equations, which tests show, and of figures, which studies test."""

from __future__ import annotations

from larq_bnnopt.claims.claim import Claim
from larq_bnnopt.claims.commands import studied, tested


def equation(
    paper: str, number: int, claim: str, test: tuple[str, str], reason: str, where: str
) -> Claim:
    """Returns the claim of an equation, which a test shows.

    Args:
        paper: Number of the paper.
        number: Number of the equation.
        claim: What it says.
        test: File and function of the test, as `tested` takes them.
        reason: A remark, or nothing.
        where: The file of the code.
    """
    return Claim(
        f"{paper}-eq-{number}",
        f"eq. {number}",
        claim,
        "yes",
        tested(*test),
        reason,
        where,
    )


def figure(paper: str, name: str, claim: str, study: str, reason: str) -> Claim:
    """Returns the claim of a figure, which a study tests.

    Args:
        paper: Number of the paper.
        name: Number of the figure.
        claim: What it shows.
        study: The study.
        reason: A remark.
    """
    return Claim(
        f"{paper}-fig-{name}",
        f"fig. {name}",
        claim,
        "yes",
        studied(study),
        reason,
        f"larq_bnnopt/studies/{study}.py",
    )
