"""One claim of a paper: what it says, whether it is here, what shows it."""

from __future__ import annotations

import dataclasses

# State of a claim -> what it means.
STATES = {
    "yes": "in the code and tested, or run by a study whose result is in docs/results",
    "part": "some of it; the reason says what is missing",
    "no": "not here, for the reason given",
    "printed": "another method's result, whose printed figures are data here",
}


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Attributes:
        id: Its name, which stays the same, such as `"001-fig-5"`.
        place: Where the paper makes it.
        claim: What it says, in a sentence.
        state: One of `STATES`.
        command: What a user types to see it, in the root folder of the repository;
            empty if nothing can be run.
        reason: Why it is not `"yes"`, or a remark.
        where: The file of the code, from the root folder of the repository.

    Example:
        >>> from larq_bnnopt import claims
        >>> claims.select(paper="001")[4].id, claims.select(paper="001")[4].paper
        ('001-eq-5', '001')
    """

    id: str
    place: str
    claim: str
    state: str
    command: str = ""
    reason: str = ""
    where: str = ""

    @property
    def paper(self) -> str:
        """The number of the paper."""
        return self.id.partition("-")[0]

    def as_dict(self) -> dict[str, str]:
        """Returns the claim as JSON holds it."""
        names = ("id", "paper", "place", "claim", "state", "reason", "command")
        return {name: getattr(self, name) for name in names}
