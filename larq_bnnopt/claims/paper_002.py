"""Claims of paper 002, MeliusNet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from larq_bnnopt.claims.claim import Claim
from larq_bnnopt.claims.commands import (
    AT_SMALL_SCALE,
    counted,
    counted_elsewhere,
    printed,
    studied,
    tested,
)

_MELIUS = "zoo_extensions/meliusnet.py"
_FIGURES = "zoo_extensions/figures/paper_002.py"
_MODELS = "tests/zoo_extensions/test_models.py"
_ESTIMATOR = (
    "tests/zoo_extensions/test_estimators.py",
    "test_a_sign_passes_gradients_within_the_clip_value",
)
_ACCURACY = (
    "operations and size are counted to the printed digits; the accuracy needs "
    "ImageNet and days on GPUs (`bnnopt train --preset meliusnet_imagenet{model}`)"
)

_GAINS = (
    "Gains at small scale: `bnnopt study paper_002_table2_architectures` and "
    "`bnnopt study paper_002_table2_grouped_stem`"
)


def claims_of_paper_002() -> tuple[Claim, ...]:
    """Returns the claims: equations, figures, tables, set-ups."""
    return (*_equations(), *_figures(), *_tables(), *_set_ups())


def _equations() -> Iterator[Claim]:
    yield Claim(
        "002-eq-1",
        "eq. 1",
        "The sign of zero is +1.",
        "yes",
        tested(*_ESTIMATOR),
        where="zoo_extensions/binary_factory.py",
    )
    yield Claim(
        "002-eq-2",
        "eq. 2",
        "Forward, an activation or a weight is its sign.",
        "yes",
        tested(*_ESTIMATOR),
        where="zoo_extensions/binary_factory.py",
    )
    yield Claim(
        "002-eq-3",
        "eq. 3",
        "Backward, a gradient passes where the value is within 1.3 of zero.",
        "yes",
        tested(*_ESTIMATOR),
        where="zoo_extensions/binary_factory.py",
    )
    yield Claim(
        "002-ops",
        "table 1, caption",
        "Operations are binary ones / 64 + float ones.",
        "yes",
        tested("tests/zoo_extensions/test_counting.py", "test_as_larq_counts"),
        where="zoo_extensions/op_count.py",
    )
    yield Claim(
        "002-cosine",
        "section 4.1",
        "The learning rate falls along (1 + cos(pi t)) / 2.",
        "yes",
        tested(
            "tests/larq_bnnopt/test_schedules.py", "test_a_schedule_equals_its_formula"
        ),
        where="larq_bnnopt/schedules.py",
    )


def _figures() -> Iterator[Claim]:
    yield Claim(
        "002-fig-1",
        "fig. 1, section 3.1",
        "A dense block adds 64 channels, an improvement block improves them; "
        "transitions halve the image.",
        "yes",
        tested(_MODELS, "test_counts", slow=True),
        where=_MELIUS,
    )
    yield Claim(
        "002-fig-2",
        "fig. 2, section 3.2",
        "The grouped stem saves 40 % of the operations of the 7x7 stem.",
        "yes",
        tested(
            "tests/zoo_extensions/test_counting.py",
            "test_the_grouped_stem_saves_two_fifths_of_the_other",
        ),
        where="zoo_extensions/stem_factory.py",
    )
    yield Claim(
        "002-fig-3",
        "fig. 3, section 4.2",
        "In 32 bits, MeliusNet trains as DenseNet does.",
        "yes",
        studied("paper_002_fig3_float"),
        AT_SMALL_SCALE,
        "larq_bnnopt/studies/paper_002_fig3_float.py",
    )
    yield Claim(
        "002-fig-5",
        "fig. 5, appendix B",
        "A naive residual block needs 2 to 10 times the operations of a dense block.",
        "part",
        tested(_MODELS, "test_the_naive_alternative_adds_to_all_channels"),
        "One block of a narrow network is counted",
        _MELIUS,
    )
    yield Claim(
        "002-fig-6",
        "fig. 6, appendix B",
        "The naive network is 3 % worse at equal operations.",
        "yes",
        studied("paper_002_appendix_b_naive"),
        AT_SMALL_SCALE,
        "larq_bnnopt/studies/paper_002_appendix_b_naive.py",
    )
    yield Claim(
        "002-fig-7",
        "fig. 7, appendix C",
        "Under Adam and RAdam weights become stable; under SGD early layers do not.",
        "yes",
        studied("paper_002_fig7_flips"),
        AT_SMALL_SCALE,
        "larq_bnnopt/studies/paper_002_fig7_flips.py",
    )


def _tables() -> Iterator[Claim]:
    for row, model, claim in (
        (1, "meliusnet22", "MeliusNet22: 2.08e8 operations, 3.9 MB, 63.6 %."),
        (2, "meliusnet29", "MeliusNet29: 2.14e8 operations, 5.1 MB, 65.8 %."),
        (3, "meliusnet42", "MeliusNet42: 3.25e8 operations, 10.1 MB, 69.2 %."),
        (4, "meliusnet59", "MeliusNet59: 5.25e8 operations, 17.4 MB, 71.0 %."),
        (5, "meliusnet_a", "MeliusNetA: 1.62e8 operations, 4.0 MB, 63.4 %."),
        (6, "meliusnet_b", "MeliusNetB: 1.96e8 operations, 5.0 MB, 65.7 %."),
        (7, "meliusnet_c", "MeliusNetC: 1.50e8 operations, 4.5 MB, 64.1 %."),
    ):
        yield _network("1", row, claim, model, model)
    yield from _table_2()
    yield from _table_3()
    yield from _table_4()


def _network(table: str, row: int, claim: str, model: str, case: str) -> Claim:
    """Returns the row of a network of this package."""
    other = "" if model == "meliusnet22" else f" --model {model}"
    return Claim(
        f"002-table-{table}-row-{row}",
        f"table {table}, row {row}",
        claim,
        "part",
        counted(case),
        _ACCURACY.format(model=other),
        _FIGURES,
    )


def _table_2() -> Iterator[Claim]:
    wide, grouped = "-stem=conv7x7", "-stem=grouped"
    for row, model, stem, claim in (
        (1, "resnet_e18", wide, "ResNetE18, original training: 1.63e8, 58.1 %."),
        (2, "resnet_e18", wide, "ResNetE18: 1.63e8, 60.0 %."),
        (3, "resnet_e18", grouped, "ResNetE18, grouped stem: 1.14e8, 60.6 %."),
        (4, "binary_densenet28", wide,
         "BinaryDenseNet28, original training: 2.58e8, 60.7 %."),
        (5, "binary_densenet28", wide, "BinaryDenseNet28: 2.58e8, 61.7 %."),
        (6, "binary_densenet28", grouped,
         "BinaryDenseNet28, grouped stem: 2.09e8, 62.6 %."),
        (7, "meliusnet22", wide, "MeliusNet22, 7x7 stem: 2.57e8, 62.8 %."),
        (8, "meliusnet22", "", "MeliusNet22: 2.08e8, 63.6 %."),
        (9, "birealnet34", "", "Bi-RealNet34, original training: 1.93e8, 62.2 %."),
        (10, "resnet_e34", wide, "Bi-RealNet34: 1.93e8, 63.3 %."),
        (11, "resnet_e34", grouped, "Bi-RealNet34, grouped stem: 1.43e8, 63.7 %."),
        (12, "binary_densenet37", wide,
         "BinaryDenseNet37, original training: 2.71e8, 62.5 %."),
        (13, "binary_densenet37", wide, "BinaryDenseNet37: 2.71e8, 63.3 %."),
        (14, "binary_densenet37", grouped,
         "BinaryDenseNet37, grouped stem: 2.20e8, 64.2 %."),
        (15, "meliusnet29", wide, "MeliusNet29, 7x7 stem: 2.63e8, 64.9 %."),
        (16, "meliusnet29", "", "MeliusNet29: 2.14e8, 65.8 %."),
    ):  # fmt: skip
        found = _network("2", row, claim, model, f"{model}{stem}")
        yield dataclasses.replace(found, reason=f"{found.reason}. {_GAINS}")


def _table_3() -> Iterator[Claim]:
    for row, model, claim in (
        (1, "bwn18", "BWN, 1/32 bits: 60.8 %, 18.1e8 operations."),
        (2, "ttq18", "TTQ, 2/32 bits: 66.6 %, 18.1e8 operations."),
        (3, "hwgq18", "HWGQ, 1/2 bits: 59.6 and 64.3 %."),
        (4, "lqnet18", "LQ-Net, 1/2 bits: 62.6 and 66.6 %."),
        (5, "syq18", "SYQ, 1/2 bits: 55.4 %."),
        (6, "dorefa18", "DoReFa, 2/2 bits: 62.6 %."),
        (7, "ensemble18", "Ensemble, 6 bases: 61.0 %."),
        (8, "circulant_cnn18", "Circulant-CNN, 4 bases: 61.4 %."),
        (9, "abc_net18", "ABC-Net, 5 bases: 65.0 %, 7.8e8 operations."),
        (10, "groupnet18", "GroupNet, 5 bases: 67.0 and 70.5 %."),
        (11, "bnn18", "BNN: 42.2 %, 1.57e8 operations."),
        (12, "xnornet18", "XNOR-Net: 51.2 %, 1.59e8 operations."),
        (13, "birealnet18", "Bi-RealNet: 56.4 and 62.2 %, 1.63e8 and 1.93e8."),
        (14, "xnornet_plus18", "XNOR-Net++: 57.1 %, 1.59e8 operations."),
        (15, "resnet_e18-stem=grouped",
         "Bi-RealNet, their training: 60.6 and 63.7 %, 1.14e8 and 1.43e8."),
        (16, "binary_densenet28-stem=conv7x7",
         "BDenseNet: 60.7 and 62.5 %, 2.58e8 and 2.71e8."),
        (17, "strong_baseline18", "Strong Baseline: 60.9 %, 1.82e8 operations."),
        (18, "binary_densenet28-stem=grouped",
         "BDenseNet, their training: 62.6 and 64.2 %, 2.09e8 and 2.20e8."),
        (19, "meliusnet_a", "MeliusNetA and B: 63.4 and 65.7 %, 1.62e8 and 1.96e8."),
        (20, "resnet18", "32-bit baseline: 69.3 and 73.3 %, 18.1e8 and 36.6e8."),
    ):  # fmt: skip
        if row in (13, 15, 16, 18, 19):
            name = model.partition("-")[0]
            yield _network("3", row, claim, name, model)
        elif row in (1, 20):
            precision = "binary_weights" if row == 1 else "float"
            case = f"birealnet18-precision={precision}"
            yield dataclasses.replace(
                _other("3", row, claim, model),
                command=counted(case),
                reason="another method's result; its operations and size are counted",
            )
        else:
            yield _other("3", row, claim, model)


def _other(table: str, row: int, claim: str, model: str) -> Claim:
    """Returns the row of another method."""
    return Claim(
        f"002-table-{table}-row-{row}",
        f"table {table}, row {row}",
        claim,
        "printed",
        printed(model),
        "another method's result",
        _FIGURES,
    )


def _table_4() -> Iterator[Claim]:
    yield _other("4", 1, "GroupNet18: 9.2 MB, 2.68e8, 67.0 %.", "groupnet18")
    yield _other("4", 2, "GroupNet34: 15.3 MB, 4.13e8, 70.5 %.", "groupnet34")
    for row, model, case, claim in (
        (3, "birealnet34", "birealnet34", "Bi-RealNet34: 5.1 MB, 1.93e8, 62.2 %."),
        (5, "resnet_e34", "resnet_e34-stem=grouped",
         "Bi-RealNet34, grouped stem: 5.1 MB, 1.43e8, 63.7 %."),
        (6, "meliusnet_c", "meliusnet_c", "MeliusNetC: 4.5 MB, 1.50e8, 64.1 %."),
        (8, "meliusnet42", "meliusnet42", "MeliusNet42: 10 MB, 3.25e8, 69.2 %."),
        (10, "meliusnet59", "meliusnet59", "MeliusNet59: 17 MB, 5.32e8, 71.0 %."),
    ):  # fmt: skip
        yield _network("4", row, claim, model, case)
    for row, width, claim in (
        (4, "0.5", "MobileNet-v1 0.5: 5.1 MB, 1.49e8, 63.7 %."),
        (7, "0.75", "MobileNet-v1 0.75: 10 MB, 3.25e8, 68.4 %."),
        (9, "1.0", "MobileNet-v1 1.0: 17 MB, 5.69e8, 70.6 %."),
    ):
        yield Claim(
            f"002-table-4-row-{row}",
            f"table 4, row {row}",
            claim,
            "printed",
            counted_elsewhere(f"mobilenet_v1_{width}"),
            "the baseline of the paper's question; its operations are counted",
            _FIGURES,
        )


def _set_ups() -> Iterator[Claim]:
    yield Claim(
        "002-setup-training",
        "section 4.1",
        "RAdam at 0.002 with a cosine for 120 epochs; Adam with a warm-up of 5 epochs "
        "is nearly as good, SGD worst.",
        "part",
        "bnnopt train --preset meliusnet_imagenet --normalize per_channel",
        "ImageNet and days on GPUs are needed; "
        "`bnnopt study paper_002_section41_optimizers` compares them at small scale",
        "larq_bnnopt/recipes/presets.py",
    )
    yield Claim(
        "002-setup-32-bit",
        "section 4.2",
        "32-bit networks: SGD at 0.1, 90 epochs, warm-up of 5, HSV jitter and PCA "
        "noise.",
        "part",
        "bnnopt train --preset meliusnet_float_imagenet --hsv-jitter 0.1 "
        "--pca-noise 0.1",
        "the settings are a preset and options; ImageNet and days on GPUs are needed",
        "larq_bnnopt/preset_fields.py",
    )
    yield Claim(
        "002-setup-appendix-b",
        "appendix B",
        "40 epochs at 0.001, divided by ten at epochs 35 and 37.",
        "part",
        tested(
            "tests/larq_bnnopt/test_schedules.py", "test_a_schedule_equals_its_formula"
        ),
        "schedules.step takes such places, and the recipe's step has others, at half "
        "and at three quarters; ImageNet is needed",
        "larq_bnnopt/schedules.py",
    )
