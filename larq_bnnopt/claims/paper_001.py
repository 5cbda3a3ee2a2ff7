"""Claims of paper 001, which trains binary weights by filtering gradients."""

from __future__ import annotations

from collections.abc import Iterator

from larq_bnnopt.claims.claim import Claim
from larq_bnnopt.claims.commands import AT_SMALL_SCALE, printed, tested
from larq_bnnopt.claims.rows import equation, figure

_RULES = "larq_bnnopt/optimizers/rules.py"
_FIGURES = "zoo_extensions/figures/paper_001.py"
_SIGNS = ("test_theorem.py", "test_the_filter_has_the_signs_of_sgd_on_latent_weights")
_BITS = ("test_rules.py", "test_gradient_filter_is_sgd_with_weight_decay_bit_for_bit")
_SCIPY = ("test_rules.py", "test_gradient_filter_is_the_filter_of_scipy")
_IIR = ("test_rules.py", "test_iir_filter_is_the_filter_of_scipy")
_CASCADE = ("test_rules.py", "test_the_gradient_filter_is_an_iir_filter")
_DECAYED = (
    "test_rules.py",
    "test_gradient_filter_under_decay_is_the_corrected_recursion",
)
_LONG = (
    "the recipe is here; 400 epochs of Bi-RealNet-20 are days without a GPU, and there "
    "is none here. The order of the rows at small scale: "
    "`bnnopt study paper_001_table2_methods`"
)
_IMAGENET = "ImageNet and days on GPUs are needed"


def claims_of_paper_001() -> tuple[Claim, ...]:
    """Returns the claims: equations, figures, tables, set-ups."""
    return (*_equations(), *_figures(), *_tables(), *_set_ups())


def _equations() -> Iterator[Claim]:
    for number, claim, test, reason in (
        (1, "Latent weights have a start, w_0 = init().",
         ("test_theorem.py",
          "test_sgd_from_other_weights_or_with_another_decay_is_not_the_filter"), ""),
        (2, "Momentum is an exponential moving average of gradients.", _BITS, ""),
        (3, "SGD with weight decay moves latent weights.", _BITS, ""),
        (4, "A binary weight is the sign of its latent weight.", _SIGNS, ""),
        (5, "The sign of zero is drawn from {-1, +1}.",
         ("test_rules.py", "test_random_on_zero_is_fair_and_a_function_of_the_seed"),
         ""),
        (6, "With g = -w, latent weights accumulate gradients.", _BITS, ""),
        (7, "From zero, g is a decaying sum of momenta.", _SIGNS, ""),
        (8, "The learning rate outside of the sum has no effect.", _SIGNS, ""),
        (9, "Rate and decay are one hyperparameter, alpha.", _BITS, ""),
        (10, "SGD with weight decay is an exponential moving average.", _BITS, ""),
        (11, "The filter's first average is the momentum, m.", _SCIPY, ""),
        (12, "Its second average, of m, is g.", _SCIPY, ""),
        (13, "The binary weight is the opposite sign of g.", _SCIPY, ""),
        (14, "An optimizer may be any linear filter with infinite impulse response.",
         _IIR, "The last term as printed has the index of the other sum."),
        (15, "An exponential moving average is a filter of order 1.", _SCIPY, ""),
        (16, "Two of them in a row are a filter of order 2.", _CASCADE,
         "The print leaves out the leading 1 of a."),
        (17, "The filter's recursion in its direct form.", _DECAYED,
         "Under a decay of alpha the right form has the earlier alpha in one place."),
        (18, "The FF ratio is the share of weights that a step flips.",
         ("tests/larq_bnnopt/callbacks/test_flip_monitor.py",
          "test_counts_equal_those_of_full_copies"), ""),
        (19, "Appendix: g_i with m_i written out.", _DECAYED, ""),
        (20, "Appendix: g_{i-1}.", _DECAYED, ""),
        (21, "Appendix: alpha m_{i-1} from g_{i-1} and g_{i-2}.", _DECAYED,
         "It holds for a constant alpha."),
        (22, "Appendix: the direct form again.", _DECAYED,
         "It holds for a constant alpha."),
    ):  # fmt: skip
        where = "larq_bnnopt/callbacks/flips.py" if number == 18 else _RULES
        yield equation("001", number, claim, test, reason, where)


def _figures() -> Iterator[Claim]:
    for number, claim, study, reason in (
        (1, "Magnitude has no meaning for a binary weight.",
         "paper_001_fig3_rate_and_start",
         "an illustration; the study of figure 3 scales latent weights"),
        (2, "An order-2 filter is smoother than an order-1 filter, and both than the "
            "gradients of a weight.", "paper_001_fig2_filters", AT_SMALL_SCALE),
        (3, "A larger learning rate does what a smaller start of the latent weights "
            "does.", "paper_001_fig3_rate_and_start", AT_SMALL_SCALE),
        (4, "From zero and independent of magnitudes, accuracy does not depend on the "
            "learning rate; otherwise it does.", "paper_001_fig4_rates",
         AT_SMALL_SCALE),
        (5, "Too large an alpha flips too much, too small a one too little.",
         "paper_001_fig5_alpha", AT_SMALL_SCALE),
        (6, "Without a decay of alpha flips go on and accuracy is lower.",
         "paper_001_fig6_decay", AT_SMALL_SCALE),
        (7, "Latent weights and the filter train alike.",
         "paper_001_fig7_equivalence", AT_SMALL_SCALE),
        (8, "Two hyperparameters are tuned in fewer trials than six.",
         "paper_001_fig8_tuning", AT_SMALL_SCALE),
    ):  # fmt: skip
        yield figure("001", str(number), claim, study, reason)


def _tables() -> Iterator[Claim]:
    for row, claim in (
        (1, "On latent weights, SGD has 7 hyperparameters."),
        (2, "The filter has 3: alpha, its decay and gamma."),
    ):
        yield Claim(
            f"001-table-1-row-{row}",
            f"table 1, row {row}",
            claim,
            "part",
            tested(*_BITS),
            "The two train alike; no test counts hyperparameters.",
            "larq_bnnopt/optimizers/gradient_filter.py",
        )
    yield from _table_2()
    yield from _table_3()


def _table_2() -> Iterator[Claim]:
    train = "bnnopt train --preset gradient_filter_cifar10"
    other = "another method's result"
    long = _LONG
    for row, label, top1, state, command, reason in (
        (1, "FP", "91.7", "part",
         f"{train} --precision float --optimizer sgd", long),
        (2, "DoReFa-Net", "79.3", "printed", printed("dorefa_net20"), other),
        (3, "DSQ", "84.1", "printed", printed("dsq20"), other),
        (4, "IR-Net", "86.5", "printed", printed("ir_net20"), other),
        (5, "Bi-Real, one step", "85.0", "part",
         f"{train} --optimizer sgd", long),
        (6, "Bi-Real with the filter", "86.5", "part", train, long),
        (7, "Bi-Real, two steps", "86.7", "part",
         "bnnopt train --recipe two_step --model birealnet20 --dataset cifar10 "
         "--optimizer sgd --learning-rate 0.1 --weight-decay 1e-4 --schedule cosine "
         "--epochs 400 --batch-size 256", long),
    ):  # fmt: skip
        yield Claim(
            f"001-table-2-row-{row}",
            f"table 2, row {row}",
            f"{label}: {top1} % on CIFAR-10.",
            state,
            command,
            reason,
            _FIGURES,
        )


def _table_3() -> Iterator[Claim]:
    other = "another method's result"
    for row, label, accuracy, state, command, reason in (
        (1, "CI-BCNN", "59.9 / 84.2", "printed", printed("ci_bcnn"), other),
        (2, "Binary MobileNet", "60.9 / 82.6", "printed",
         printed("binary_mobilenet"), other),
        (3, "MoBiNet", "54.4 / 77.5", "printed", printed("mobinet"), other),
        (4, "EL", "56.4 / -", "printed", printed("el"), other),
        (5, "MeliusNet29", "65.8 / -", "part",
         "bnnopt train --preset meliusnet_imagenet --model meliusnet29",
         f"{_IMAGENET} for the accuracy"),
        (6, "ReActNet-A with the filter", "69.7 / 88.9", "part",
         "bnnopt train --preset gradient_filter_imagenet", _IMAGENET),
        (7, "StrongBaseline", "60.9 / 83.0", "printed",
         printed("strong_baseline18"), other),
        (8, "Real-to-Binary", "65.4 / 86.2", "printed",
         printed("real_to_binary18"), other),
        (9, "ReActNet-A", "69.4 / 88.6", "part",
         "bnnopt train --preset adambnn_imagenet", _IMAGENET),
        (10, "ReActNet-A by AdamBNN", "70.5 / 89.1", "part",
         "bnnopt train --preset adambnn_imagenet", _IMAGENET),
    ):  # fmt: skip
        yield Claim(
            f"001-table-3-row-{row}",
            f"table 3, row {row}",
            f"{label}: {accuracy} % top-1 / top-5 on ImageNet.",
            state,
            command,
            reason,
            _FIGURES,
        )


def _set_ups() -> Iterator[Claim]:
    yield Claim(
        "001-setup-cifar10",
        "section 4 and 4.1",
        "CIFAR-10: SGD with cosine for both kinds of weights, batches of 256, padding "
        "of 4, crop and flip.",
        "yes",
        "bnnopt train --preset gradient_filter_cifar10 --dry-run",
        where="larq_bnnopt/recipes/presets.py",
    )
    yield Claim(
        "001-setup-imagenet",
        "section 4.1",
        "ImageNet: 600,000 steps with batches of 510, Adam 2.5e-3 linear, alpha 1e-5, "
        "a teacher.",
        "part",
        "bnnopt train --preset gradient_filter_imagenet",
        f"the settings are a preset; {_IMAGENET}",
        "larq_bnnopt/recipes/presets.py",
    )
    yield Claim(
        "001-setup-audio",
        "section 4.2",
        "Spoken digits: 4 dense layers with batch normalization, the first one not "
        "binary.",
        "part",
        "bnnopt train --model audio_mlp --dataset DIGITS --optimizer gradient_filter",
        "the network trains on any folder of WAV files, arrays or images; these digits "
        "(AudioMNIST) are not here",
        "zoo_extensions/audio.py",
    )
