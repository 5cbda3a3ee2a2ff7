"""Studies: claims of the papers, run on real data and judged from the numbers.

Importing it loads no TensorFlow; a study is trained by `work`.
"""

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import (
    Comparison,
    Finding,
    equal,
    findings,
    higher,
    higher_best,
    higher_mean,
    larger_gap,
    more,
    narrow,
    not_higher,
    rising,
    same_curve,
    same_series,
    verdict,
    wider,
)
from larq_bnnopt.studies.measures import Measure
from larq_bnnopt.studies.paragraph import paragraph
from larq_bnnopt.studies.pictures import Curves, Dots, Panel, Rows, Sweep, Traces, draw
from larq_bnnopt.studies.registry import get, names, published, require_name
from larq_bnnopt.studies.reports import last_verdict, page, write
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.running import Progress, finished, require_data, work
from larq_bnnopt.studies.statistics import Interval, Verdict, interval, judge
from larq_bnnopt.studies.study import Study
from larq_bnnopt.studies.training import train_arm

__all__ = [
    "Arm",
    "Comparison",
    "Curves",
    "Dots",
    "Finding",
    "Interval",
    "Measure",
    "Panel",
    "Progress",
    "Rows",
    "RunResult",
    "Study",
    "Sweep",
    "Traces",
    "Verdict",
    "draw",
    "equal",
    "findings",
    "finished",
    "get",
    "higher",
    "higher_best",
    "higher_mean",
    "interval",
    "judge",
    "larger_gap",
    "last_verdict",
    "more",
    "names",
    "narrow",
    "not_higher",
    "page",
    "paragraph",
    "published",
    "require_data",
    "require_name",
    "rising",
    "same_curve",
    "same_series",
    "train_arm",
    "verdict",
    "wider",
    "work",
    "write",
]
