"""Claims of paper 003, Diode."""

from __future__ import annotations

from collections.abc import Iterator

from larq_bnnopt.claims.claim import Claim
from larq_bnnopt.claims.commands import (
    AT_SMALL_SCALE,
    counted,
    printed,
    studied,
    tested,
)
from larq_bnnopt.claims.rows import equation, figure

_RULES = "larq_bnnopt/optimizers/rules.py"
_FIGURES = "zoo_extensions/figures/paper_003.py"
_PRESETS = "larq_bnnopt/recipes/presets.py"
_ESTIMATOR = (
    "tests/zoo_extensions/test_estimators.py",
    "test_a_sign_passes_gradients_within_the_clip_value",
)
_DIODE = ("test_rules.py", "test_diode_is_equations_10_to_13")
_SCIPY = ("test_rules.py", "test_gradient_filter_is_the_filter_of_scipy")
_IMAGENET = "ImageNet and days on GPUs are needed"
_LANGUAGE = (
    "the network, its optimizers and the settings are here, and the order of the "
    "methods on sentences of films is a study; on GLUE, with a fine-tuned BERT-Base "
    "and days on GPUs: `bnnopt train --preset bit_glue_sst2"
)
_GLUE = 'python -c "from zoo_extensions.figures import GLUE; print(*GLUE, sep=chr(10))"'
# Of table 1: the rows that the paper trained.
_TRAINED = {
    11: "diode_imagenet_bnext18 --optimizer adam",
    12: "diode_imagenet_bnext18",
    15: "diode_imagenet",
}
# Of table 2: what the paper trained -> how the preset of a task trains it.
_OWN_ROWS = {
    11: f"{_LANGUAGE} --optimizer bop`",
    12: f"{_LANGUAGE} --optimizer gradient_filter`",
    13: f"{_LANGUAGE}`",
    15: f"{_LANGUAGE} --teacher RUN --first-weights teacher`, where RUN is the last of "
    "the multi-distillation; BiT's own weights are not loaded",
    23: "texts are not augmented here; otherwise as row 15",
}
_AUGMENTED = 23


def claims_of_paper_003() -> tuple[Claim, ...]:
    """Returns the claims: equations, figures, tables, set-ups."""
    return (*_equations(), *_figures(), *_tables(), *_set_ups())


def _equations() -> Iterator[Claim]:
    for number, claim, test, reason in (
        (1, "Forward, activations and weights are their signs.", _ESTIMATOR, ""),
        (2, "The gradient of a sign passes where the value is within 1 of zero.",
         _ESTIMATOR, ""),
        (3, "The gradient of a latent weight is that of its binary weight.",
         _ESTIMATOR, ""),
        (4, "SGD moves latent weights.",
         ("test_rules.py",
          "test_gradient_filter_is_sgd_with_weight_decay_bit_for_bit"), ""),
        (5, "A first predecessor averages gradients once, u.", _SCIPY,
         "It is the gradient filter of order 1 with alpha for 1 - alpha."),
        (6, "Its weight is the opposite sign of u.", _SCIPY, ""),
        (7, "A second one averages u again, m.", _SCIPY,
         "It is the gradient filter of order 2."),
        (8, "A third one takes the sign of u.", _DIODE, "It is Diode with eta = 1."),
        (9, "and averages these signs.", _DIODE, "It is Diode with eta = 1."),
        (10, "Diode averages gradients, u.", _DIODE, ""),
        (11, "Its vote is eta times the sign of u.", _DIODE, ""),
        (12, "It averages votes, m.", _DIODE, ""),
        (13, "Its weight is the opposite sign of m.", _DIODE, ""),
    ):  # fmt: skip
        where = "zoo_extensions/binary_factory.py" if number <= 3 else _RULES
        yield equation("003", number, claim, test, reason, where)


def _figures() -> Iterator[Claim]:
    for name, claim, study in (
        ("1", "Diode gains more from large batches than Adam does.",
         "paper_003_fig1_batch_size"),
        ("2", "The start of eta has nearly no effect.", "paper_003_fig2_initial_eta"),
        ("3a", "A cosine of eta gives the best accuracy.",
         "paper_003_fig3_eta_schedules"),
        ("3b", "A fast decay of eta flips too little, none flips on.",
         "paper_003_fig3_eta_schedules"),
        ("4", "The right alpha and beta settle flips and loss; u and m are smoother "
              "than gradients.", "paper_003_fig4_moments"),
    ):  # fmt: skip
        yield figure("003", name, claim, study, AT_SMALL_SCALE)


def _tables() -> Iterator[Claim]:
    yield from _table_1()
    yield from _table_2()
    yield from _table_3()


def _table_1() -> Iterator[Claim]:
    counts = "operations are counted; the accuracy: "
    for row, model, case, claim in (
        (1, "resnet18", "birealnet18-precision=float",
         "ResNet-18 in 32 bits: 18.0e8, 44.6 MB, 69.6 %."),
        (2, "bnn18", "", "BNN: 1.47e8, 42.2 %."),
        (3, "xnornet18", "", "XNOR-Net: 1.47e8, 51.2 %."),
        (4, "xnornet_plus18", "", "XNOR-Net++: 1.47e8, 57.1 %."),
        (5, "birealnet18", "birealnet18", "Bi-RealNet-18: 1.65e8, 56.4 %."),
        (6, "bop18", "", "BOP: 1.89e8, 56.4 %."),
        (7, "real_to_binary18", "", "Real2Binary-Net: 1.82e8, 65.4 %."),
        (8, "reactnet_bireal18", "reactnet_bireal18",
         "ReActNet-BiR18: 1.89e8, 65.9 %."),
        (9, "reactnet_bireal18", "", "ReCU: 1.89e8, 66.4 %."),
        (10, "bnext18", "bnext18", "BNext-18: 0.43e8, 67.9 %."),
        (11, "bnext18", "bnext18-squeeze_excite=False",
         "BNext-18† by Adam: 0.27e8, 67.5 %."),
        (12, "bnext18", "bnext18-squeeze_excite=False",
         "BNext-18† by Diode: 0.27e8, 68.2 %, the best of its size."),
        (13, "reactnet_a", "reactnet_a", "ReActNet-A by Adam: 0.87e8, 69.4 %."),
        (14, "reactnet_a", "reactnet_a",
         "ReActNet-A by the gradient filter: 0.87e8, 69.7 %."),
        (15, "reactnet_a", "reactnet_a",
         "ReActNet-A by Diode in a single stage: 0.87e8, 69.6 %."),
    ):  # fmt: skip
        reason = "another method's result"
        if case:
            reason = f"{counts}{_IMAGENET}"
        if row in _TRAINED:
            reason += f" (`bnnopt train --preset {_TRAINED[row]}`)"
        yield Claim(
            f"003-table-1-row-{row}",
            f"table 1, row {row}",
            claim,
            "part" if case else "printed",
            counted(case) if case else printed(model),
            reason,
            _FIGURES,
        )


def _table_2() -> Iterator[Claim]:
    for row, label, bits, average in (
        (1, "BERT", "32-32-32", "83.9"),
        (2, "Q-BERT", "2-8-8", "-"),
        (3, "Q-BERT", "2-8-8", "47.7"),
        (4, "TernaryBERT", "2-2-8", "-"),
        (5, "BinaryBERT", "1-1-8", "82.7"),
        (6, "BinaryBERT", "1-1-4", "79.9"),
        (7, "BinaryBERT", "1-1-2", "53.7"),
        (8, "BinaryBERT", "1-1-1", "41.0"),
        (9, "BiBERT", "1-1-1", "63.2"),
        (10, "BiT‡ by Adam", "1-1-1", "71.0"),
        (11, "BiT‡ by Bop", "1-1-1", "61.9"),
        (12, "BiT‡ by the gradient filter", "1-1-1", "62.5"),
        (13, "BiT‡ by Diode", "1-1-1", "74.7"),
        (14, "BiT† by Adam", "1-1-1", "72.4"),
        (15, "BiT† by Diode", "1-1-1", "75.7"),
        (16, "TernaryBERT, augmented", "2-2-8", "80.3"),
        (17, "BinaryBERT, augmented", "1-1-8", "83.3"),
        (18, "BinaryBERT, augmented", "1-1-4", "82.6"),
        (19, "BinaryBERT, augmented", "1-1-2", "57.6"),
        (20, "BinaryBERT, augmented", "1-1-1", "48.7"),
        (21, "BiBERT, augmented", "1-1-1", "68.8"),
        (22, "BiT† by Adam, augmented", "1-1-1", "76.7"),
        (23, "BiT† by Diode, augmented", "1-1-1", "78.8"),
    ):
        result = "no average" if average == "-" else f"an average of {average}"
        is_own, study = row in _OWN_ROWS, studied("paper_003_table2_text")
        yield Claim(
            f"003-table-2-row-{row}",
            f"table 2, row {row}",
            f"{label}, {bits} bits: {result} on GLUE.",
            _state(row),
            "" if row == _AUGMENTED else study if is_own else _GLUE,
            _OWN_ROWS.get(row, "another method's result"),
            "zoo_extensions/figures/glue.py",
        )


def _state(row: int) -> str:
    """Returns the state of a row of table 2."""
    if row == _AUGMENTED:
        return "no"
    return "part" if row in _OWN_ROWS else "printed"


def _table_3() -> Iterator[Claim]:
    for cell, alpha, beta, top1 in (
        (1, "0.9", "0.999", "71.57"),
        (2, "0.9", "0.9999", "73.92"),
        (3, "0.95", "0.999", "72.07"),
        (4, "0.95", "0.9999", "74.06"),
        (5, "0.99", "0.999", "72.01"),
        (6, "0.99", "0.9999", "74.51"),
    ):
        full = f"bnnopt train --preset diode_cifar100 --alpha {alpha} --beta {beta}"
        yield Claim(
            f"003-table-3-cell-{cell}",
            f"table 3, cell {cell}",
            f"BNext-18† on CIFAR-100 with alpha {alpha} and beta {beta}: {top1} %.",
            "part",
            studied("paper_003_table3_averages"),
            f"{AT_SMALL_SCALE}; on the paper's data, days without a GPU: `{full}`",
            "larq_bnnopt/studies/paper_003_table3_averages.py",
        )


def _set_ups() -> Iterator[Claim]:
    yield Claim(
        "003-setup-start",
        "section 4.1",
        "Weights start as fair signs; alpha 0.99, beta 0.9999, eta from 1.",
        "yes",
        tested(
            "tests/larq_bnnopt/recipes/test_presets.py",
            "test_the_settings_are_those_of_the_papers",
        ),
        "Another test has the fair signs",
        "larq_bnnopt/preset_fields.py",
    )
    yield Claim(
        "003-memory",
        "section 1 and 3",
        "Training needs up to 50 % less memory: no latent weights, gradients in fewer "
        "bits, no buffer for embeddings.",
        "part",
        "python benchmarks/embedding_step.py",
        "averages take 16 bits, and the gradient of an embedding stays sparse; weights "
        "and gradients stay in float32",
        "larq_bnnopt/optimizers/storage.py",
    )
    yield Claim(
        "003-setup-imagenet",
        "section 4.1",
        "ReActNet in a single stage, with the protocol of its predecessors.",
        "part",
        "bnnopt train --preset diode_imagenet",
        f"the settings are a preset; {_IMAGENET}",
        _PRESETS,
    )
    yield Claim(
        "003-setup-bnext",
        "section 4.1",
        "BNext-18 without its 4-bit layers, its stem and shortcuts in 8 bits.",
        "part",
        counted("bnext18-squeeze_excite=False"),
        "float in training; 8 bits only by calibration in a conversion",
        "zoo_extensions/bnext.py",
    )
    yield Claim(
        "003-setup-glue",
        "section 4.1",
        "GLUE: eight tasks with the metric of each, BiT's protocol.",
        "part",
        "bnnopt train --preset bit_glue_sst2",
        "presets have the settings of the nine tasks, and data sets their metrics; "
        "GLUE is not here, so that no preset was run to its end",
        "larq_bnnopt/preset_fields.py",
    )
    yield Claim(
        "003-accumulation",
        "section 6",
        "Gradients of several batches may be accumulated where memory is short.",
        "yes",
        tested("test_case.py", "test_accumulated_batches_are_one_batch"),
        where="larq_bnnopt/optimizers/accumulation.py",
    )
