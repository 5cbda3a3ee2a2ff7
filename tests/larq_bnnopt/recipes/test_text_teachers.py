"""Trained models of texts as teachers and starts: tokens, weights, optimizers."""

import dataclasses
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import datasets, recipes
from larq_bnnopt.cli import main, predict
from larq_bnnopt.recipes import FineTune, TwoStep
from larq_bnnopt.recipes.strategies import check_metrics
from larq_bnnopt.recipes.training import trainer_of

from .test_text_runs import fill, labelled, recipe


@pytest.fixture(scope="module")
def place(made_once):
    """Texts, others, and a float BERT beside the tokenizer of the first."""

    def make(at):
        labelled(at / "data")
        fill(at / "others", lambda text, good: (f"zoo {text[::-1]}", good), HEADER)
        fill(at / "numbers", lambda text, good: (text, f"{len(text)}.5"), HEADER)
        own = recipe(str(at / "data"), precision="float", optimizer="adam")
        data = own.load_data()
        (at / "float").mkdir()
        own.create_model(data, True).save(at / "float" / "model.keras")
        (at / "float" / "tokenizer.json").write_text(data.settings["tokenizer"])
        (at / "bare").mkdir()
        shutil.copy(at / "float" / "model.keras", at / "bare")

    return made_once("text_teachers", make)


HEADER = ("text", "label")


def taught(place, data="data", teacher="float", **options):
    path = str(place / teacher / "model.keras")
    return recipe(str(place / data), teacher=path, **{"vocab_size": None, **options})


def tuned(place, data="data", start="float", **options):
    path = str(place / start / "model.keras")
    return FineTune(start=path, dataset=str(place / data), batch_size=16, **options)


@pytest.mark.parametrize("make", [taught, tuned])
def test_texts_are_read_by_the_tokenizer_of_the_trained_model(make, place):
    kept = (place / "float" / "tokenizer.json").read_text()
    own = make(place, "others")
    with pytest.warns(UserWarning, match="are unknown to its tokenizer"):
        assert own.load_data().settings["tokenizer"] == kept
    # A run keeps its tokenizer: it resumes without the file.
    assert "tokenizer" not in own.files()
    path = make(place, tokenizer=str(place / "own.json")).tokenizer_file()
    assert path == str(place / "own.json")


@pytest.mark.parametrize("make", [taught, tuned])
def test_a_trained_model_of_unknown_tokens_is_refused(make, place):
    own = make(place, "data", "bare")
    with pytest.raises(ValueError, match=r"the tokenizer of .*bare.* is not known: no"):
        own.load_data()


def test_a_kept_tokenizer_and_that_of_the_data_are_known(place, tmp_path):
    kept = place / "float" / "tokenizer.json"
    own = taught(place, "data", "bare")
    found = own.load_data(texts={"tokenizer": kept}).settings["tokenizer"]
    assert found == kept.read_text()
    shutil.copytree(place / "data", tmp_path / "data")
    shutil.copy(kept, tmp_path / "data")
    own = dataclasses.replace(own, dataset=str(tmp_path / "data"))
    assert own.load_data().settings["tokenizer"] == found


def test_a_teacher_of_other_tokens_is_refused(place, tmp_path):
    others = recipe(str(place / "others")).load_data().settings["tokenizer"]
    (tmp_path / "tokenizer.json").write_text(others)
    own = taught(place, "others", tokenizer=str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"reads other tokens .*\(--tokenizer\)"):
        recipes.train(own, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    # Where its tokenizer is not kept, its rows tell.
    data = recipe(str(place / "data"), text_length=16).load_data()
    more = zx.BinaryBert(
        input_shape=(16,), vocab_size=20, precision="float", **recipe("").model_options
    )
    more.save(tmp_path / "few.keras")
    (tmp_path / "tokenizer.json").unlink()
    few = recipe(str(place / "data"), teacher=str(tmp_path / "few.keras"))
    with pytest.raises(ValueError, match="reads other tokens"):
        trainer_of(few, few.build_model(data), few.load_teacher(), data)


@pytest.mark.slow
def test_a_fine_tuned_teacher_gives_its_weights(place, tmp_path):
    own = tuned(place, optimizer="adam", head_epochs=0, epochs=1)
    data = own.load_data()
    teacher = own.build(0, data)
    assert "classifier" not in {layer.name for layer in teacher.layers}
    teacher.save(tmp_path / "model.keras")
    shutil.copy(place / "float" / "tokenizer.json", tmp_path)
    learned = taught(
        place,
        teacher=str(tmp_path),
        precision="float",
        optimizer="adam",
        first_weights="teacher",
    )
    student = learned.build_model(data)
    inputs = data.test_arrays()[0]
    np.testing.assert_allclose(
        student.predict(inputs, verbose=0), teacher.predict(inputs, verbose=0)
    )


def test_fine_tuning_learns_numbers(place):
    own = tuned(place, "numbers", optimizer="adam", head_epochs=0, epochs=1)
    model = own.build(0, own.load_data())
    assert model.output_shape == (None, 1) and model.loss == "mean_squared_error"
    assert recipes.distillation.gives_probabilities(model) is False
    with pytest.raises(ValueError, match="temperature divides logits of classes"):
        taught(place, "numbers", temperature=2.0).load_data()


def test_networks_that_fields_do_not_fit_are_refused(place):
    data = recipe(str(place / "data")).load_data()
    with pytest.raises(ValueError, match=r"no batch normalization, .* recalibrate out"):
        recipe(str(place / "data"), recalibrate=2).build(0, data)
    with pytest.raises(
        ValueError, match=r"no binary weights for optimizer 'diode'\. G"
    ):
        tuned(place).build(0, data)


@pytest.mark.slow
def test_fine_tuning_in_float16_scales_the_loss(place, tmp_path):
    data = recipe(str(place / "data")).load_data()
    own = recipe(str(place / "data"), compute_dtype="mixed_float16")
    own.create_model(data, False).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"real\. Give .*: diode, gradient_filter, ii"):
        tuned(place, start=str(tmp_path), optimizer="adam").build(0, data)
    # It computes in float16, which fine_tune has no field for.
    model = tuned(place, start=str(tmp_path)).build(0, data)
    scaled = tf.keras.mixed_precision.LossScaleOptimizer
    assert isinstance(model.optimizer, scaled)
    with pytest.raises(ValueError, match=r"accumulate_steps 2 cannot be counted"):
        tuned(place, start=str(tmp_path), accumulate_steps=2).build(0, data)


def test_a_model_outside_a_run_says_what_is_missing(place, capsys):
    path = place / "bare" / "model.keras"
    assert main(["predict", str(path), "--text", "good film"]) == 2
    assert "in no run or package, which hold the tok" in capsys.readouterr().err
    with pytest.raises(ValueError, match="takes texts, and is in no run, which holds"):
        predict._sizes(recipes.load_model(path), path)


def test_replicas_do_not_share_ranks():
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(ValueError, match=r"spearman needs .* 2 replicas\. Leave out"):
        check_metrics(two, ("pearson", "spearman"))
    check_metrics(two, ("pearson",))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_two_steps_start_from_their_teacher(dtype, place, tmp_path):
    two = taught(
        place,
        cls=TwoStep,
        epochs=1,
        optimizer="diode",
        compute_dtype=dtype,
        learning_rate=1e-3,
        first_weights="teacher",
    )
    data, teacher = two.load_data(), two.load_teacher()
    first = two.build(0, data).get_layer("pooler").kernel
    np.testing.assert_array_equal(first, teacher.get_layer("pooler").kernel)
    model = recipes.train(two, tmp_path / "run")
    assert set(np.unique(model.get_layer("pooler").kernel)) == {-1, 1}
    scaled = isinstance(model.optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    assert scaled == (dtype == "mixed_float16")


@pytest.mark.slow
def test_a_teacher_of_numbers_teaches_them(place, tmp_path):
    own = tuned(place, "numbers", optimizer="adam", epochs=1, head_epochs=1)
    recipes.train(own, tmp_path / "teacher")
    learned = taught(
        place,
        "numbers",
        teacher=str(tmp_path / "teacher"),
        hard_labels=0.5,
        first_weights="teacher",
        epochs=1,
    )
    recipes.train(learned, tmp_path / "run")
    history = recipes.History.of(recipes.Run(tmp_path / "run"))
    assert np.isfinite(history.last("teacher_loss"))
    assert -1 <= history.last("val_pearson") <= 1


def test_images_whose_weights_are_signs_stay_so(one_epoch):
    own = FineTune(start=str(one_epoch.model), optimizer="adam")
    with pytest.raises(ValueError, match=r"\{-1, \+1\}, which optimizer 'adam' would"):
        own.build(0, datasets.load("fashion_mnist_mini"))
