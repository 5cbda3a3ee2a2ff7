"""Runs are read as they were written, listed and drawn."""

import base64
import json
import math
import re

import pytest

from larq_bnnopt import recipes
from larq_bnnopt.recipes import History, OneStep, Run, TwoStep


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


def test_the_figures_are_those_of_the_last_epoch(runs):
    one, two, young = map(History.of, recipes.find_runs(runs))
    assert one.epochs == 2 and one.last("val_accuracy") == 0.625
    assert one.row()[5:8] == ("2", "62.50%", "1.00e-03")
    assert two.row()[1] == "two_step" and math.isnan(two.columns["flip_ratio"][0])
    assert young.row()[2:7] == ("meliusnet22", "fashion_mnist_mini", "diode", "0", "")
    assert one.model_bytes is None
    (runs / "one" / "model.tflite").write_bytes(b"1234567")
    assert History.of(Run(runs / "one")).row()[-1] == "7"
    assert len(one.row()) == len(recipes.HEADING)


def test_the_accuracy_is_that_of_the_recalibrated_model(runs):
    run = Run(runs / "one")
    run.recalibration.write_text('{"batches": 3, "before": 0.625, "after": 0.75}')
    assert History.of(run).row()[6] == "75.00%"
    content = json.loads(run.config.read_text())
    content["versions"]["tensorflow"] = "9.9.9"
    run.config.write_text(json.dumps(content))
    page = recipes.write_page(run).read_text()
    assert "<td>0.75</td>" in page and "<td>9.9.9</td>" in page


def test_a_run_without_flips_is_drawn_without_a_word(runs, tmp_path, recwarn):
    still = "epoch,loss,val_accuracy,flip_ratio\n0,1.5,0.5,0\n1,1.0,0.625,0\n"
    run = written(runs / "still", OneStep(), still)
    recipes.plot_histories([History.of(run)], tmp_path / "still.png")
    assert not recwarn.list


def test_curves_are_drawn_where_there_are_any(runs, tmp_path):
    histories = list(map(History.of, recipes.find_runs(runs)))
    recipes.plot_histories(histories, tmp_path / "all.svg")
    text = (tmp_path / "all.svg").read_text()
    assert text.count("<!-- one -->") == 3 and text.count("<!-- young -->") == 0
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


def test_a_page_holds_its_pictures_and_figures(runs):
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
    assert len(pictures) == 2
    for picture in pictures:
        assert base64.b64decode(picture, validate=True).startswith(b"\x89PNG")
    assert "<th>accuracy on the test images</th><td>0.625</td>" in page
    assert "<th>model</th><td>tiny_residual_bnn</td>" in page
    # Of the last epoch alone, and no column that was not counted.
    assert page.count("&lt;conv&gt;") == 1 and "<td>0.25</td>" in page
    assert "<th>dead_ratio</th>" in page and "flips_max" not in page
    # Nothing is fetched from elsewhere, and names are text.
    assert "http" not in page and "<conv>" not in page
    young = recipes.write_page(Run(runs / "young"), runs / "young.html").read_text()
    assert "No epoch is complete yet." in young and "<img" not in young
    with pytest.raises(FileNotFoundError, match="is no run"):
        recipes.write_page(Run(runs / "other"))
