"""Every claim of the four papers, its state here and the command that shows it.

Nothing here needs TensorFlow. A row is data: a file for each paper, in the order of the
paper.
"""

from larq_bnnopt.claims.claim import STATES, Claim
from larq_bnnopt.claims.pages import claims_page, claims_table
from larq_bnnopt.claims.table import CLAIMS, PAPERS, counts, require_filter, select

__all__ = [
    "CLAIMS",
    "PAPERS",
    "STATES",
    "Claim",
    "claims_page",
    "claims_table",
    "counts",
    "require_filter",
    "select",
]
