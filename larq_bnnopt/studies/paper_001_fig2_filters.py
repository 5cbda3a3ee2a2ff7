"""Paper 001, figure 2: a second-order filter is smoother than a first-order one."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import more
from larq_bnnopt.studies.measures import Measure
from larq_bnnopt.studies.pictures import Rows, Traces
from larq_bnnopt.studies.setups import FILTER, SMALL_BIREAL
from larq_bnnopt.studies.study import Study

_ALPHA, _GAMMA = 0.01, 0.1
_RAW = Measure(
    "turns_raw", "sign changes of the gradient per 100 steps", is_share=False
)
_FIRST = Measure(
    "turns_order_1", "sign changes of the order-1 filter per 100 steps", is_share=False
)
_SECOND = Measure(
    "turns_order_2", "sign changes of the order-2 filter per 100 steps", is_share=False
)
_ROUGH = [
    Measure(f"roughness_{name}", f"roughness of the {words}", is_share=False)
    for name, words in (
        ("raw", "gradient"),
        ("order_1", "order-1 filter"),
        ("order_2", "order-2 filter"),
    )
]


def ema(values: np.ndarray, rate: float) -> np.ndarray:
    """Returns the exponential moving averages of series that start at zero.

    Args:
        values: The series, one a row.
        rate: Weight of the newest value.
    """
    average, found = np.zeros(len(values)), []
    for column in values.T:
        average = (1 - rate) * average + rate * column
        found.append(average)
    return np.array(found).T


def roughness(values: np.ndarray) -> float:
    """Returns the mean square of the steps of series, as a share of their variance.

    White noise has 2, and a straight line almost none.

    Args:
        values: The series, one a row.
    """
    steps = np.mean(np.diff(values, axis=1) ** 2, axis=1)
    spread = np.var(values, axis=1)
    return float(np.mean(steps[spread > 0] / spread[spread > 0]))


def turns(values: np.ndarray) -> float:
    """Returns how often series change their sign, in 100 steps, on average."""
    signs = values > 0
    return float(100 * np.mean(signs[:, 1:] != signs[:, :-1]))


def filtered(path: pathlib.Path) -> dict[str, Any]:
    """Returns what both filters make of the recorded gradients."""
    from larq_bnnopt.callbacks import read_probes
    from larq_bnnopt.callbacks.probe_files import probes_path

    weights = read_probes(probes_path(path))
    raw = np.array([series["gradient"] for series in weights.values()])
    first = ema(raw, _ALPHA)
    known = {"raw": raw, "order_1": first, "order_2": ema(ema(raw, _GAMMA), _ALPHA)}
    # The weight of the picture is one whose gradient has a trend, and noise.
    shown = int(np.argmax(np.abs(raw.mean(axis=1)) / (raw.std(axis=1) + 1e-30)))
    found: dict[str, Any] = {}
    for name, values in known.items():
        found[f"turns_{name}"] = turns(values)
        found[f"roughness_{name}"] = roughness(values)
        found[name] = [float(value) for value in values[shown]]
    return found


STUDY = Study(
    name="paper_001_fig2_filters",
    title="Noise of filtered gradients of single weights",
    paper="001",
    place="figure 2",
    claim=(
        "Gradients of a binary weight are noisy, a first-order filter is smoother, and "
        "with the same alpha a second-order filter is smoother still."
    ),
    paper_setup="Bi-RealNet-20 on CIFAR-10, and shows a single weight in one epoch",
    fields={**SMALL_BIREAL, **FILTER, "alpha": _ALPHA, "gamma": _GAMMA, "epochs": 1},
    arms=[Arm("filter")],
    probes={"weights": 64},
    of_flips=filtered,
    comparisons=[
        more(_RAW, _FIRST, "filter"),
        more(_FIRST, _SECOND, "filter"),
        more(_ROUGH[0], _ROUGH[1], "filter"),
        more(_ROUGH[1], _ROUGH[2], "filter"),
    ],
    panels=[
        Traces(
            {"raw": "gradient", "order_1": "order 1", "order_2": "order 2"}, "filter"
        ),
        Rows(
            {"gradient": _RAW, "order 1": _FIRST, "order 2": _SECOND},
            "filter",
            "sign changes in 100 steps",
        ),
    ],
    measures=[_RAW, _FIRST, _SECOND, *_ROUGH],
    minutes=15,
    seeds=10,
    note=(
        "Both filters are applied to the same recorded gradients, of 64 weights of "
        "each binary layer; sign changes and roughness are their means."
    ),
)
