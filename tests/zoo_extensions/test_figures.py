"""Published figures: their lookup, their digits, and every row that can be counted."""

import re

import larq_zoo as lqz
import pytest
import tensorflow as tf

import zoo_extensions as zx
from zoo_extensions import figures
from zoo_extensions.figures import PUBLISHED, ReportedValue
from zoo_extensions.names import plain

STEM_7X7 = (("stem", "conv7x7"),)
# Networks of larq-zoo and Keras that the tables hold. They are counted whether or not
# this package has a model of its own.
STAND_INS = {
    ("meliusnet22", ()): lqz.literature.MeliusNet22,
    ("birealnet18", ()): lqz.literature.BiRealNet,
    ("resnet_e18", STEM_7X7): lqz.literature.BinaryResNetE18,
    ("binary_densenet28", STEM_7X7): lqz.literature.BinaryDenseNet28,
    ("binary_densenet37", STEM_7X7): lqz.literature.BinaryDenseNet37,
    **{
        (f"mobilenet_v1_{width}", ()): lambda weights, width=width: (
            tf.keras.applications.MobileNet(alpha=float(width), weights=weights)
        )
        for width in ("0.5", "0.75", "1.0")
    },
}
QUICK = ("birealnet18", ())


def rows_with_figures(model, arguments):
    return [
        row
        for row in PUBLISHED
        if plain(row.counted_model) == plain(model)
        and row.arguments == arguments
        and any(getattr(row, figure) for figure in figures.COUNTED)
    ]


def own_models():
    """Each model of this package, with the arguments of its rows."""
    ours = {plain(name): name for name in zx.list_models()}
    pairs = {(row.counted_model, row.arguments) for row in PUBLISHED}
    return {
        (ours[plain(model)], arguments)
        for model, arguments in pairs
        if plain(model) in ours and rows_with_figures(model, arguments)
    }


def check(model, arguments, network):
    rows = rows_with_figures(model, arguments)
    assert rows
    counted = zx.count_ops(network)
    assert counted.uncounted == ()
    for row in rows:
        compared = {c.figure: c for c in row.compare(counted)}
        corrected = {c.figure: c for c in row.corrections}
        for figure, comparison in compared.items():
            where = (row.source, row.label, comparison)
            if figure in corrected:
                # The misprint is one, and the right digits are counted.
                assert not comparison.reproduced, where
                assert comparison.counted == corrected[figure].right, where
            else:
                assert comparison.reproduced, where


def cases(pairs):
    return [
        pytest.param(
            *pair,
            marks=[] if pair == QUICK else [pytest.mark.slow],
            id="-".join([pair[0], *(f"{k}={v}" for k, v in pair[1])]),
        )
        for pair in sorted(pairs, key=str)
    ]


@pytest.mark.parametrize("model, arguments", cases(STAND_INS))
def test_rows_of_networks_elsewhere(model, arguments):
    check(model, arguments, STAND_INS[model, arguments](weights=None))


@pytest.mark.parametrize("model, arguments", cases(own_models()))
def test_rows_of_our_models(model, arguments):
    check(model, arguments, zx.create_model(model, **dict(arguments)))


def test_digits():
    bops = ReportedValue("4.62", 1e9)
    assert bops.value == 4.62e9
    assert bops.agreement(4.6242e9) == bops.agreement(4.6150e9) == "rounded"
    assert bops.agreement(4.6299e9) == "truncated"
    assert bops.agreement(4.6301e9) is None
    assert bops.agreement(4.6149e9) is None
    # The last digit counts although it is a zero.
    assert ReportedValue("1.50", 1e8).agreement(1.52e8) is None
    assert ReportedValue("18.3", 1e9).digits(18.316e9) == "18.3"
    assert ReportedValue("10", 2**20).agreement(10.103 * 2**20) == "rounded"
    assert ReportedValue("~2.4", 1e8).value == 2.4e8


def test_published():
    rows = zx.published("MeliusNet-22")
    assert rows == zx.published("meliusnet22")
    assert {row.source for row in rows} == {
        "paper 002, table 1",
        "paper 002, table 2",
        "paper 002, figure 3",
        "paper 002, figure 6",
        "BMXNet-v2 wiki",
    }
    with pytest.raises(ValueError, match=r"of 'meliusnet23'\. Nearest: meliusnet"):
        zx.published("meliusnet23")
    with pytest.raises(ValueError, match=r"of 'qqq'\. Known: abc_net18, "):
        zx.published("qqq")


def test_misprints_are_named():
    misprints = {
        (row.source, row.label, c.figure, getattr(row, c.figure).text, c.right)
        for row in PUBLISHED
        for c in row.corrections
        if c.misprint
    }
    twice = [("flops", "1.63", "1.38"), ("ops", "1.89", "1.64")]
    dagger = [("qops", "0.24", "1.38"), ("ops", "0.27", "0.43")]
    densenet = ("ops", "2.71", "2.70")
    assert misprints == {
        ("paper 002, table 1", "MeliusNet59", "ops", "5.25", "5.32"),
        ("paper 002, table 2", "BinaryDenseNet37", *densenet),
        ("paper 002, table 2", "BinaryDenseNet37, original training", *densenet),
        ("paper 002, table 3", "BDenseNet37", *densenet),
        *(
            ("paper 003, table 1", label, *figure)
            for label in ("BOP", "ReActNet-BiR18", "ReCU")
            for figure in twice
        ),
        *(
            ("paper 003, table 1", f"BNext-18† ({optimizer})", *figure)
            for optimizer in ("Adam", "Diode")
            for figure in dagger
        ),
    }
    (row,) = (r for r in zx.published("meliusnet59") if r.source.endswith("table 1"))
    assert (row.ops.value, row.right_ops) == (5.25e8, 5.32e8)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.source}-{row.label}")
def test_a_row_is_sound(row):
    printed = [getattr(row, figure) for figure in figures.COUNTED]
    for figure in filter(None, printed):
        assert re.fullmatch(r"~?\d+(\.\d+)?", figure.text) and figure.value > 0
    in_a_picture = row.source.startswith("paper 002, figure")
    assert (row.top1 is None) is in_a_picture
    assert row.top1 is None or 40 < row.top1 < 95
    assert row.top5 is None or row.top1 < row.top5 < 100
    for correction in row.corrections:
        assert getattr(row, correction.figure).text != correction.right
    # Printed operations follow from the printed parts, or a correction says otherwise.
    rest = row.flops or row.qops
    if row.bops and rest:
        ops = row.bops.value / 64 + rest.value / row.rest_speedup
        assert row.ops.value == pytest.approx(ops, abs=1.1e6) or any(
            c.figure == "ops" for c in row.corrections
        )


def test_one_figure_is_printed_once():
    keys = [(row.source, row.label, row.model) for row in PUBLISHED]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    "source, rows",
    [
        ("paper 001, table 2", 7),
        ("paper 001, table 3", 10),
        ("paper 002, table 1", 7),
        ("paper 002, table 2", 16),
        # Two columns of networks: 20 methods, of which 9 have a second one.
        ("paper 002, table 3", 29),
        ("paper 002, table 4", 10),
        ("paper 003, table 1", 15),
    ],
)
def test_the_tables_are_whole(source, rows):
    assert sum(row.source == source for row in PUBLISHED) == rows


def test_the_binary_ratios_follow():
    """Of table 1 of paper 003, ratio = BOPs / (64 OPs), from its own columns."""
    rows = [row for row in PUBLISHED if row.binary_ratio is not None]
    assert len(rows) == 14
    verdicts = {
        row.binary_ratio.agreement(row.derived_ratio): row.binary_ratio.text
        for row in rows
    }
    # Some are cut: 13.89 is printed as 13.8.
    assert verdicts.keys() == {"rounded", "truncated"}
    (baseline,) = zx.published("resnet18")[1:]
    assert baseline.derived_ratio is baseline.binary_ratio is None


def test_the_gains_follow():
    accuracies = {(row.source, row.label): row.top1 for row in PUBLISHED}
    slips = {gain.label for gain in figures.GAINS if gain.right}
    assert slips == {"MeliusNet22"}
    for gain in figures.GAINS:
        after, before = (
            accuracies[gain.source, label] for label in (gain.label, gain.base)
        )
        assert f"{after - before:+.1f}" == (gain.right or gain.printed), gain
        assert gain.right != gain.printed


def test_the_averages_on_glue():
    rows = figures.GLUE
    assert len(rows) == 23 and sum(row.augmented for row in rows) == 8
    assert all(len(row.scores) == len(figures.TASKS) == 9 for row in rows)
    without = {
        (row.method, row.bits, row.augmented)
        for row in rows
        if row.average is not None
        and row.average.agreement(row.derived_average) is None
    }
    assert without == {
        ("BinaryBERT", "1-1-4", False),
        ("BiT † (Adam)", "1-1-1", False),
        ("BiT † (Adam)", "1-1-1", True),
    }
    for row in rows:
        assert (row.average is None) is (row.derived_average is None)
        if (row.method, row.bits, row.augmented) in without:
            assert "average" in row.note
    assert sum(row.average is None for row in rows) == 2


def test_the_text_about_glue_follows_from_the_table():
    """Section 4.3 of paper 003: averages, and CoLA, whose 9.3 is a slip."""
    table = {(row.method, row.augmented): row for row in figures.GLUE}

    def difference(first, second, task=None, augmented=False):
        if task is None:
            values = (table[m, augmented].average.value for m in (first, second))
        else:
            place = figures.TASKS.index(task)
            values = (table[m, augmented].scores[place] for m in (first, second))
        before, after = values
        return round(after - before, 1)

    single, twice = "BiT ‡ ({})", "BiT † ({})"
    adam, diode = (single.format(name) for name in ("Adam", "Diode"))
    assert difference(adam, diode) == 3.7
    assert difference(adam, diode, "STS-B") == 4.4
    assert difference(adam, diode, "CoLA") == 9.2
    assert "+9.3" in table[diode, False].note
    assert difference(twice.format("Adam"), diode) == 2.3
    released = [twice.format(name) for name in ("Adam", "Diode")]
    assert difference(*released) == 3.3
    assert difference(*released, augmented=True) == 2.1


def test_the_ratios_of_diode():
    best = max(figures.EMA_RATIOS, key=figures.EMA_RATIOS.get)
    assert len(figures.EMA_RATIOS) == 6 and best == (0.99, 0.9999)
    for alpha in (0.9, 0.95, 0.99):
        low, high = (figures.EMA_RATIOS[alpha, beta] for beta in (0.999, 0.9999))
        assert 70 < low < high < 75


def test_a_contradiction_is_seen():
    (row, *_) = zx.published("birealnet18")
    counted = zx.count_ops(zx.TinyResidualBNN())
    assert {c.verdict for c in row.compare(counted)} == {"contradicts"}


def test_model_table():
    seen = []
    table = zx.model_table(["tiny_residual_bnn"], progress=seen.append)
    assert seen == ["tiny_residual_bnn"]
    assert len(table.rows()) == 1 + len(PUBLISHED)
    page = table.markdown()
    assert (
        "| tiny_residual_bnn | 0.0099 | 0.0029 | 0.0000 | 0.0044 | 0.0839 | 309,418 |"
        in page
    )
    # Not counted, so it is marked, with the right value of the misprint.
    assert (
        "| MeliusNet59 | paper 002, table 1 | 1/1 | 18.3 ? | 2.45 ? | 5.25 ? |" in page
    )
    assert "OPs 5.25: misprinted for 5.32;" in page
    assert (
        "ReCU, paper 003, table 1: FLOPs 1.63 and OPs 1.89: misprinted for 1.38 and "
        "1.64; 1.63 is the number of all"
    ) in "\n".join(table.remarks())
    content = table.as_dict()
    assert content["counted"]["tiny_residual_bnn"]["bops"] == 9861120
    assert content["published"][0]["compared"] == []


def test_model_table_compares():
    def create(name, **arguments):
        return lqz.literature.BiRealNet(weights=None)

    table = zx.model_table(["birealnet18"], create=create)
    page = table.markdown()
    # Paper 002 agrees, paper 003 does not in two figures.
    assert "| Bi-RealNet | paper 002, table 3 | 1/1 |  |  | 1.63 |  | 56.4 |" in page
    assert (
        "| Bi-RealNet-18 | paper 003, table 1 | 1/1 | 1.68 | 1.39 (1.38) | "
        "1.65 (1.64) | 4.2 MB | 56.4 |"
    ) in page
