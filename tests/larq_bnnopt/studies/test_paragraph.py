"""Texts that follow from given numbers."""

import dataclasses

import pytest

from larq_bnnopt import studies
from larq_bnnopt.studies import Arm, Dots, RunResult, Study, equal, higher
from larq_bnnopt.studies.measures import TEST_ACCURACY, Measure
from larq_bnnopt.studies.reports import last_verdict

FLIPS = Measure("flip_ratio", "FF ratio")
STUDY = Study(
    name="small",
    title="Two settings",
    paper="001",
    place="figure 9",
    claim="Ours is more accurate.",
    paper_setup="a large network",
    arms=[Arm("ours"), Arm("theirs")],
    comparisons=[higher(TEST_ACCURACY, "ours", "theirs")],
    panels=[Dots(TEST_ACCURACY)],
    measures=[TEST_ACCURACY],
    minutes=1,
)


def runs(differences, **others):
    facts = {"training images": 6000}
    return [
        RunResult.of_numbers(
            arm,
            seed,
            series={"val_accuracy": [0.2, 0.5 + (difference if arm == "ours" else 0)]},
            facts=facts,
            seconds=30.0,
            commit="commit 0123456789",
            processor="A processor, 2 cores",
            **others,
        )
        for seed, difference in enumerate(differences)
        for arm in ("ours", "theirs")
    ]


def test_it_holds():
    assert studies.paragraph(STUDY, runs([0.02, 0.03, 0.02, 0.03, 0.025])) == (
        "Paper 001, figure 9: Ours is more accurate. It holds here. Trained here: "
        "tiny_residual_bnn on fashion_mnist_mini (6,000 training images), 12 epochs, "
        "batches of 64, 2 settings, 5 seeds. Test accuracy of 'ours' minus that of "
        "'theirs': +2.5 points (95 % interval +1.9 to +3.1, 5 seeds); it is above "
        "zero, as claimed. The paper trained a large network. Code: commit "
        "0123456789; A processor, 2 cores; 10 runs, 5.0 minutes of training."
    )


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ([-0.02, -0.03, -0.02, -0.03, -0.025], "It does not hold here."),
        ([-0.02, -0.03, -0.02, -0.03, -0.025], "not above zero, against the claim."),
        ([0.02, -0.03, 0.02, -0.03, 0.0], "cannot be told here."),
        ([0.02, -0.03, 0.02, -0.03, 0.0], "which these seeds do not decide."),
        ([0.02, 0.03, 0.02], "This is preliminary. Whether it holds cannot be told"),
        ([0.02, 0.03, 0.02], "which needs at least 5 seeds."),
        ([0.02, 0.03, 0.02], "4 of its 10 runs are missing."),
        ([0.02], "+2.0 points for one seed;"),
        ([], "Nothing has been trained yet."),
    ],
)
def test_other_texts(differences, words):
    assert words in studies.paragraph(STUDY, runs(differences))


def test_a_quick_run_shows_nothing_whatever_its_numbers():
    found = runs([0.02, 0.03, 0.02, 0.03, 0.025], quick=True)
    text = studies.paragraph(STUDY, found)
    assert "shows nothing about the claim" in text
    assert "holds" not in text and "interval" not in text
    page = studies.page(STUDY, found, "bnnopt study small --quick")
    assert "Verdict: **quick run, shows nothing**" in page


def test_a_diverged_run_is_named():
    found = runs([0.02, 0.03, 0.02, 0.03, 0.025])
    found[1] = dataclasses.replace(found[1], diverged=True)
    assert "in these runs: 1 of 'theirs'." in studies.paragraph(STUDY, found)


def test_a_comparison_without_the_value_of_a_diverged_run_is_open():
    study = dataclasses.replace(STUDY, comparisons=[higher(FLIPS, "ours", "theirs")])
    found = [
        dataclasses.replace(run, series={"flip_ratio": [run.series["val_accuracy"][1]]})
        for run in runs([0.02, 0.03, 0.02, 0.03, 0.025, 0.02])
    ]
    study = dataclasses.replace(study, seeds=6)
    assert "It holds here." in studies.paragraph(study, found)
    found[3] = dataclasses.replace(found[3], diverged=True)
    text = studies.paragraph(study, found)
    assert "Whether it holds cannot be told here." in text
    assert "is open since 'theirs' with seed 1 diverged." in text
    assert "5 seeds)" in text
    # Its test accuracy is that of guessing, and counts.
    found = runs([0.02, 0.03, 0.02, 0.03, 0.025])
    found[3] = dataclasses.replace(found[3], diverged=True)
    assert "It holds here." in studies.paragraph(STUDY, found)


def test_a_verdict_needs_all_planned_runs():
    study = dataclasses.replace(STUDY, seeds=6)
    early = runs([0.02, 0.03, 0.02, 0.03, 0.025])
    text = studies.paragraph(study, early)
    assert "This is preliminary. Whether it holds cannot be told here." in text
    assert "2 of its 12 runs are missing." in text
    assert "Verdict: **cannot be told here**" in studies.page(study, early, "")
    # Nor does another number of seeds, asked for on the command line, make it whole.
    assert "preliminary" in studies.paragraph(study.with_seeds(5), early)
    whole = runs([0.02, 0.03, 0.02, 0.03, 0.025, 0.02])
    assert "It holds here." in studies.paragraph(study.with_seeds(6), whole)
    assert "added" not in studies.paragraph(study, whole)


def test_seeds_that_were_added_are_named():
    found = runs([0.02, 0.03, 0.02, 0.03, 0.025, 0.02])
    text = studies.paragraph(STUDY.with_seeds(6), found)
    assert "It holds here." in text and "missing" not in text
    assert "1 seed added after a look: the study was planned with 5." in text


def test_the_interval_that_decides_is_the_one_in_the_sentence():
    up, down = STUDY.comparisons[0], higher(TEST_ACCURACY, "theirs", "ours")
    study = dataclasses.replace(STUDY, comparisons=[up, down])
    text = studies.paragraph(study, runs([0.02, 0.03, 0.02, 0.03, 0.025]))
    assert text.count("(95 % interval") == text.count("(97.5 % interval") == 1


def test_an_equivalence_names_its_margin():
    one = equal(TEST_ACCURACY, "ours", "theirs", 0.01)
    study = dataclasses.replace(STUDY, comparisons=[one])
    near = studies.paragraph(study, runs([0.001, -0.001, 0.002, 0.0, 0.001]))
    assert "it is within 1.0 points of zero, as claimed" in near
    far = studies.paragraph(study, runs([0.03, 0.031, 0.03, 0.032, 0.03]))
    assert "it is not within 1.0 points of zero, against the claim" in far


def test_of_many_comparisons_those_that_are_not_as_claimed_get_a_sentence():
    up, down = STUDY.comparisons[0], higher(TEST_ACCURACY, "theirs", "ours")
    study = dataclasses.replace(STUDY, comparisons=[up, up, up, down])
    text = studies.paragraph(study, runs([0.02, 0.03, 0.02, 0.03, 0.025]))
    assert "3 of 4 comparisons are as claimed." in text
    assert (
        text.count("98.75 % interval") == 1 and "'theirs' minus that of 'ours'" in text
    )


def test_the_last_verdict_is_read_from_the_page(tmp_path):
    found = runs([0.02, 0.03, 0.02, 0.03, 0.025])
    assert last_verdict([tmp_path]) == "not run"
    verdict = studies.write(STUDY, found, tmp_path, "bnnopt study small")
    assert verdict.value == last_verdict([tmp_path / "missing", tmp_path]) == "holds"
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_an_arm_that_is_not_there_is_refused():
    one = higher(TEST_ACCURACY, "ours", "their")
    with pytest.raises(ValueError, match=r"No arm 'their'\. Nearest: theirs"):
        dataclasses.replace(STUDY, comparisons=[one])
