"""Histories of runs: read, listed, plotted, and shown in reports."""

import base64
import json
import math
import re

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import recipes
from larq_bnnopt.recipes import FineTune, History, OneStep, Run, TwoStep
from larq_bnnopt.recipes.samples import Samples
from larq_bnnopt.recipes.words import in_words


def written(folder, recipe, history):
    run = Run.create(folder)
    run.write_config(recipe.as_dict())
    if history is not None:
        run.history.write_text(history)
    return run


@pytest.fixture
def runs(tmp_path):
    """A run of one step, one of two, whose first has no flips, and a new one."""
    written(
        tmp_path / "one",
        OneStep(),
        "epoch,loss,val_accuracy,flip_ratio\n0,1.5,0.5,0.01\n1,1.0,0.625,0.001\n",
    )
    written(
        tmp_path / "two",
        TwoStep(),
        "epoch,loss,val_accuracy,flip_ratio\n0,1.5,0.75,\n1,1.0,0.5,0.002\n",
    )
    written(tmp_path / "young", OneStep(model="meliusnet22"), None)
    (tmp_path / "other").mkdir()
    return tmp_path


def test_the_figures_are_from_the_last_epoch(runs):
    one, two, young = map(History.of, recipes.find_runs(runs))
    assert one.epochs == 2 and one.last("val_accuracy") == 0.625
    assert one.row()[5:8] == ("2 of 12", "62.50%", "0.1%")
    assert two.row()[1] == "two_step" and math.isnan(two.columns["flip_ratio"][0])
    assert young.row()[2:7] == (
        "meliusnet22",
        "fashion_mnist_mini",
        "diode",
        "0 of 12",
        "",
    )
    assert one.model_bytes is None
    (runs / "one" / "model.tflite").write_bytes(b"1234567")
    assert History.of(Run(runs / "one")).row()[-1] == "7"
    assert len(one.row()) == len(recipes.HEADING)


def test_the_accuracy_is_from_re_estimated_statistics(runs):
    run = Run(runs / "one")
    run.recalibration.write_text('{"batches": 3, "before": 0.625, "after": 0.75}')
    assert History.of(run).row()[6] == "75.00%"
    content = json.loads(run.config.read_text())
    content["versions"]["tensorflow"] = "9.9.9"
    run.config.write_text(json.dumps(content))
    page = recipes.write_page(run).read_text()
    assert "<td>75.00%</td>" in page and "<td>9.9.9</td>" in page


def test_a_run_without_flips_is_plotted_without_a_warning(runs, tmp_path, recwarn):
    still = "epoch,loss,val_accuracy,flip_ratio\n0,1.5,0.5,0\n1,1.0,0.625,0\n"
    run = written(runs / "still", OneStep(), still)
    recipes.plot_histories([History.of(run)], tmp_path / "still.png")
    assert not recwarn.list


def test_existing_curves_are_plotted(runs, tmp_path):
    histories = list(map(History.of, recipes.find_runs(runs)))
    recipes.plot_histories(histories, tmp_path / "all.svg")
    text = (tmp_path / "all.svg").read_text()
    # Nobody wrote down how well these did in training but the loss.
    for label in ("one, test", "one, training", "one", "two"):
        assert text.count(f"<!-- {label} -->") == 1
    assert "young" not in text
    with pytest.raises(ValueError, match="None of these runs"):
        recipes.plot_histories(histories[2:], tmp_path / "none.png")


def test_damage_is_named(runs):
    (runs / "one" / "history.csv").write_text("epoch,loss\n0,much\n")
    with pytest.raises(ValueError, match=r"history\.csv is damaged"):
        History.of(Run(runs / "one"))
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        recipes.find_runs(runs / "nowhere")
    with pytest.raises(FileNotFoundError, match="other holds no run"):
        recipes.find_runs(runs / "other")


def test_a_report_contains_its_pictures_and_figures(runs):
    run = Run(runs / "one")
    run.flips.write_text(
        "epoch,batch,flip_ratio,<conv>\n0,0,0.02,0.02\n0,1,0.01,0.01\n1,0,0.001,0\n"
    )
    (run.folder / "flips_layers.csv").write_text(
        "epoch,layer,flip_ratio,dead_ratio,flips_max\n"
        "0,<conv>,0.02,0.5,\n1,<conv>,0.0005,0.25,\n"
    )
    page = recipes.write_page(run).read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 4  # Accuracy, loss, flips; flips of each step.
    for picture in pictures:
        assert base64.b64decode(picture, validate=True).startswith(b"\x89PNG")
    assert "<th>accuracy on the test images</th><td>62.50%</td>" in page
    assert "<th>binary weights that flip in a step</th><td>0.1%</td>" in page
    assert "<th>epochs</th><td>2 of 12</td>" in page
    assert "<th>network</th><td>tiny_residual_bnn</td>" in page
    assert "<th>learning rate</th><td>0.01</td>" in page
    assert "<th>augmentation of the training images</th><td>yes</td>" in page
    # Of the last epoch alone, and no column that was not counted.
    assert page.count("&lt;conv&gt;") == 1 and "<td>25%</td>" in page
    assert "<th>without gradient</th>" in page and "most flips" not in page
    # No name of the code, nor a setting that was left open.
    for name in ("learning_rate", "flip_ratio", "one_step", "None", "batch_size"):
        assert name not in page
    # Nothing is fetched from elsewhere, and names are text.
    assert "http" not in page and "<conv>" not in page
    young = recipes.write_page(Run(runs / "young"), runs / "young.html").read_text()
    assert "No epoch is complete yet." in young and "<img" not in young
    with pytest.raises(FileNotFoundError, match="is no run"):
        recipes.write_page(Run(runs / "other"))


def started(folder, text):
    """A fine-tuning from a file, with 15 epochs in all."""
    tuning = FineTune(start=f"{folder}/<b>{text}</b>.keras", dataset="photos & more")
    rows = "".join(f"{epoch},1.5,0.5\n" for epoch in range(15))
    return written(folder / "tuned", tuning, f"epoch,loss,val_accuracy\n{rows}")


def test_the_report_of_a_fine_tuning_counts_epochs_in_one_way(tmp_path):
    page = recipes.write_page(started(tmp_path, "base")).read_text()
    assert "15 of 15: 3 of the new classifier alone, 12 of the whole model" in page
    assert "<th>epochs of the whole model</th><td>12</td>" in page
    assert "&lt;b&gt;base&lt;/b&gt;.keras" in page and "<b>" not in page
    assert "photos &amp; more" in page
    # What is trained is the network of a file, and no empty line says otherwise.
    assert "<th>network</th>" not in page and "the network of " in page
    two = written(tmp_path / "two", TwoStep(epochs=4, first_epochs=2), None)
    assert History.of(two).epochs_in_words() == "0 of 6: 2 of stage 1, 4 of stage 2"


def test_a_report_shows_the_file_and_test_images(runs):
    run = Run(runs / "one")
    labels = np.arange(40) % 4
    scores = np.eye(4)[labels] * 0.75 + 0.05
    scores[10:13] = np.roll(scores[10:13], 1, axis=1)
    images = np.linspace(-1, 1, 40 * 25).reshape(40, 5, 5, 1).astype(np.float32)
    names = ("cat", "<script>", "dog", "a & b")
    Samples.of(images, labels, scores, names).write(run)
    summary = {"summary": [["time per input", "0.1 ms <fast>"], ["size", "7 bytes"]]}
    (run.folder / "report.json").write_text(json.dumps(summary))
    run.tflite.write_bytes(b"1234567")
    page = recipes.write_page(run).read_text()
    assert "The model is right on 37 of 40 (92.5%); 6 of them:" in page
    assert "The model is wrong on 3 of 40 (7.5%):" in page
    assert page.count("<figure>") == 9 and page.count("said: ") == 3
    assert "said: a &amp; b, 80%" in page and "is: dog" in page
    assert "<td>0.1 ms &lt;fast&gt;</td>" in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    # What is damaged, or of an earlier version, is left out.
    (run.folder / "samples.json").write_text('{"samples": 3}')
    (run.folder / "report.json").write_text("[]")
    page = recipes.write_page(run).read_text()
    assert "<figure>" not in page and "<td>7 bytes</td>" in page


@pytest.mark.parametrize("side, channels", [(1, 1), (28, 1), (300, 3)])
def test_samples_are_chosen_evenly_and_read_back(side, channels, tmp_path):
    labels = np.zeros(30, int)
    logits = np.where(np.arange(30)[:, None] % 2 == 0, [[4.0, -1.0]], [[-1.0, 4.0]])
    images = np.zeros((30, side, side, channels), np.float32)
    run = Run.create(tmp_path / "run")
    Samples.of(images, labels, logits, ("a", "b")).write(run)
    found = Samples.read(run)
    assert (found.right, found.images, len(found.samples)) == (15, 30, 12)
    assert [sample.is_right for sample in found.samples] == [True] * 6 + [False] * 6
    # Logits are no shares, and pictures for a page are small.
    assert found.samples[0].score is None
    shape = tf.io.decode_png(found.samples[0].image).shape
    assert shape == (min(side, 128), min(side, 128), channels)


def test_the_report_fits_a_phone(runs):
    page = recipes.write_page(Run(runs / "one")).read_text()
    assert (
        '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    )


@pytest.mark.parametrize(
    "recipe, expected",
    [
        ({"optimizer": "gradient_filter"}, ("optimizer of the binary weights",
                                            "gradient filter")),
        ({"optimizer": "adam"}, ("optimizer of the binary weights",
                                 "Adam, on latent weights")),
        ({"label_smoothing": 0.1}, ("label smoothing", "10%")),
        ({"hard_labels": 0.5}, ("weight of the true labels beside the teacher", "50%")),
        ({"weight_decay": 5e-6}, ("weight decay", "5e-06")),
        ({"augment": False}, ("augmentation of the training images", "no")),
        ({"kind": "two_step"}, ("recipe", "two steps")),
        ({"kind": "of later"}, ("recipe", "of later")),
        ({"something_new": 3}, ("something new", "3")),
        ({"model_options": {"squeeze_excite": False, "blocks": [2, 2]}},
         ("options of the network", "squeeze_excite=false blocks=2,2")),
        ({"model_options": "hostile"}, ("options of the network", "hostile")),
        ({"precision": "float"}, ("precision", "real-valued weights and activations")),
        ({"compute_dtype": "mixed_bfloat16"}, ("computed in", "bfloat16 and float32")),
        ({"binary_schedule": "constant"}, ("decay in the binary optimizer",
                                           "constant")),
        ({"b": [0.001]}, ("coefficients of the gradients", "0.001")),
        ({"optimizer": "bop2nd"}, ("optimizer of the binary weights",
                                   "second-order Bop")),
    ],
)  # fmt: skip
def test_settings_in_words(recipe, expected):
    assert list(in_words(recipe)) == [expected]
    assert list(in_words({**dict.fromkeys(recipe), "model": ""})) == []


def test_what_differs_between_runs_is_shown(tmp_path):
    recipes_of = {
        "one": recipes.OneStep(eta=1.0),
        "two": recipes.OneStep(binary_schedule="constant", eta=1.0),
        "three": recipes.OneStep(optimizer="bop"),
    }
    histories = []
    for name, recipe in recipes_of.items():
        run = Run.create(tmp_path / name)
        run.write_config(recipe.as_dict())
        histories.append(History.of(run))
    assert recipes.differing_settings(histories) == [
        ("setting", "one", "two", "three"),
        ("optimizer of the binary weights", "Diode", "Diode", "Bop"),
        ("eta", "1", "1", ""),
        ("decay in the binary optimizer", "", "constant", ""),
    ]
    assert recipes.differing_settings(histories[:1] * 2) == []
