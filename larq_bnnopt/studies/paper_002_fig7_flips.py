"""Paper 002, appendix C and figure 7: flips of weights by SGD, Adam and RAdam."""

from collections.abc import Mapping

from larq_bnnopt.studies.arm import Arm
from larq_bnnopt.studies.comparing import Comparison
from larq_bnnopt.studies.layer_flips import percentiles_of
from larq_bnnopt.studies.measures import Measure
from larq_bnnopt.studies.pictures import Curves, Dots
from larq_bnnopt.studies.results import RunResult
from larq_bnnopt.studies.setups import (
    RESNET_E,
    RESNET_E_FIRST,
    RESNET_E_LAST,
)
from larq_bnnopt.studies.study import Study

_LAYERS = {"first": RESNET_E_FIRST, "last": RESNET_E_LAST}
_FLIPS = {
    place: Measure(f"flip_ratio/{layer}", f"FF ratio of the {place} binary layer")
    for place, layer in _LAYERS.items()
}
_P95 = Measure(
    f"flips_p95/{RESNET_E_FIRST}",
    "95th percentile of the flips of a weight in the first binary layer",
    is_share=False,
)


def _change(arm: str, sign: int) -> Comparison:
    """The 95th percentile of flips rises, or falls, over the second half of a run."""
    measure = _P95

    def contrast(runs: Mapping[str, RunResult]) -> float | None:
        flips = [v for v in runs[arm].series.get(measure.name, ()) if v is not None]
        if len(flips) < 4:
            return None
        quarter = len(flips) // 4
        before = sum(flips[2 * quarter : 3 * quarter]) / quarter
        after = sum(flips[-quarter:]) / quarter
        return sign * (after - before)

    verb = "rise" if sign > 0 else "fall"
    words = (
        f"{verb} of the {measure.label} by '{arm}' from the third quarter of the "
        "epochs to the last"
    )
    return Comparison(words, measure, (arm,), contrast)


STUDY = Study(
    name="paper_002_fig7_flips",
    title="Flips of weights by SGD, Adam and RAdam",
    paper="002",
    place="appendix C and figure 7",
    claim=(
        "By Adam and RAdam weights become stable during the training, while by SGD "
        "those of the early layers flip more often again in its second half."
    ),
    paper_setup="ResNetE-18 for 120 epochs of ImageNet",
    fields={
        **RESNET_E,
        "epochs": 40,
        "batch_size": 64,
        "learning_rate": 0.002,
        "augment": False,
    },
    arms=[
        Arm(
            "SGD",
            {"optimizer": "sgd", "learning_rate": 0.1, "warmup_epochs": 0.9},
        ),
        Arm("Adam", {"optimizer": "adam", "warmup_epochs": 0.9}),
        Arm("RAdam", {"optimizer": "radam"}),
    ],
    comparisons=[
        _change("SGD", 1),
        _change("Adam", -1),
        _change("RAdam", -1),
    ],
    panels=[
        *(
            Curves(
                f"flips_p95/{layer}",
                f"95th percentile of flips, {place} layer",
                is_share=False,
            )
            for place, layer in _LAYERS.items()
        ),
        Curves(
            _FLIPS["first"].name, "weights that flip in a step, first layer", log=True
        ),
        Dots(_FLIPS["first"]),
    ],
    measures=[_P95, *_FLIPS.values()],
    minutes=28,
    keep=[f"flip_ratio/{layer}" for layer in _LAYERS.values()],
    per_weight=True,
    of_flips=percentiles_of(*_LAYERS.values()),
    note="SGD has a momentum of 0.9. The percentile is of the flips of a weight in an "
    "epoch, over the weights of a layer.",
)
