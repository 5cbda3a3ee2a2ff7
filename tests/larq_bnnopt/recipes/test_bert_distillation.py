"""Distillation of BERT: the loss in float64, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import recipes
from larq_bnnopt.recipes import BertDistiller
from larq_bnnopt.recipes.first_weights import copy_first_weights

SIZES = {
    "input_shape": (8,),
    "num_layers": 2,
    "hidden_size": 32,
    "num_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_length": 8,
    "dropout": 0.0,
    "num_classes": 3,
}


def bert(seed=0, **options):
    tf.keras.utils.set_random_seed(seed)
    model = zx.BinaryBert(**{**SIZES, **options})
    # Answers that differ.
    kernel = model.get_layer("classifier").kernel
    kernel.assign(50 * kernel)
    return model


def batch(count=6, classes=3):
    random = np.random.default_rng(0)
    mask = np.arange(8) < random.integers(3, 9, (count, 1))
    inputs = {
        "input_ids": np.where(mask, random.integers(5, 100, (count, 8)), 0),
        "attention_mask": mask,
        "token_type_ids": np.zeros((count, 8)),
    }
    labels = random.integers(0, classes, count)
    return {name: one.astype(np.int32) for name, one in inputs.items()}, labels


def parts(model, inputs, pattern):
    """Outputs of layers, in float64."""
    layers = [layer for layer in model.layers if layer.name in pattern]
    found = tf.keras.Model(model.inputs, [layer.output for layer in layers])(inputs)
    return [part.numpy().astype(np.float64) for part in found]


HIDDEN = ("embeddings_norm", "layer_0_norm", "layer_1_norm")
SCORES = ("layer_0_scores", "layer_1_scores")


@pytest.mark.parametrize("weights", [(1, 1, 0), (0.5, 0, 2), (0, 3, 0.5)], ids=str)
def test_the_loss_is_the_definition(weights):
    student, teacher = bert(0), bert(1, precision="float")
    inputs, labels = batch()
    loss = "sparse_categorical_crossentropy"
    answers, hidden, attention = weights
    distiller = BertDistiller(
        student,
        teacher,
        answers=answers,
        hidden=hidden,
        attention=attention,
        temperature=2.0,
        hard_labels=0.25,
        label_loss=loss,
    )
    distiller.compile(
        tf.keras.optimizers.SGD(0.0), metrics=["accuracy"], run_eagerly=True
    )
    # Sets the scales of activations.
    distiller.train_on_batch(inputs, labels)
    p, q = (model(inputs).numpy().astype(np.float64) for model in (student, teacher))
    hard = -np.log(p[np.arange(6), labels]).mean()
    p, q = (one**0.5 / (one**0.5).sum(axis=1, keepdims=True) for one in (p, q))
    apart = 4 * (q * np.log(q / p)).sum(axis=1).mean()
    pairs = zip(parts(student, inputs, HIDDEN), parts(teacher, inputs, HIDDEN))
    states = sum(((s - t) ** 2).mean() for s, t in pairs)
    allowed = np.broadcast_to(
        inputs["attention_mask"][:, None, None, :] > 0, (6, 2, 8, 8)
    )
    pairs = zip(parts(student, inputs, SCORES), parts(teacher, inputs, SCORES))
    scores = sum(((s - t)[allowed] ** 2).mean() for s, t in pairs)
    wanted = 0.75 * answers * apart + 0.25 * hard
    wanted += hidden * states + attention * scores
    found = distiller.evaluate(inputs, labels, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(wanted, rel=1e-5)
    assert found["teacher_loss"] == pytest.approx(apart, rel=1e-4)
    assert ("hidden_loss" in found, "attention_loss" in found) == (
        hidden > 0,
        attention > 0,
    )
    if hidden:
        assert found["hidden_loss"] == pytest.approx(states, rel=1e-5)
    if attention:
        assert found["attention_loss"] == pytest.approx(scores, rel=1e-4)


@pytest.mark.parametrize("hard_labels", [0.0, 0.25])
def test_a_regression_learns_the_numbers_of_its_teacher(hard_labels):
    options = {"num_classes": 1, "classifier_activation": None}
    student, teacher = bert(0, **options), bert(1, precision="float", **options)
    inputs, _ = batch()
    distiller = BertDistiller(
        student,
        teacher,
        hidden=0,
        regression=True,
        hard_labels=hard_labels,
        label_loss="mean_squared_error",
    )
    distiller.compile(
        tf.keras.optimizers.SGD(0.0),
        metrics=["mean_absolute_error"],
        run_eagerly=True,
    )
    distiller.train_on_batch(inputs, np.zeros((6, 1)))
    ours, theirs = (
        model(inputs).numpy().astype(np.float64) for model in (student, teacher)
    )
    labels = theirs + 1
    found = distiller.evaluate(inputs, labels, verbose=0, return_dict=True)
    wanted = (1 - hard_labels) * ((ours - theirs) ** 2).mean()
    wanted += hard_labels * ((ours - labels) ** 2).mean()
    assert found["loss"] == pytest.approx(wanted, rel=1e-5)
    wanted = np.abs(ours - labels).mean()
    assert found["mean_absolute_error"] == pytest.approx(wanted, rel=1e-5)


def test_the_student_learns_and_the_teacher_stays(tmp_path):
    student, teacher = bert(0, latent_weights=False), bert(1, precision="float")
    before = teacher.get_weights()
    inputs, labels = batch(24)
    distiller = BertDistiller(student, teacher, attention=0.1)
    distiller.compile(tf.keras.optimizers.Adam(0.01), run_eagerly=True)
    history = distiller.fit(inputs, labels, epochs=8, verbose=0).history
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    for old, new in zip(before, teacher.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert len(distiller.trainable_variables) == len(student.trainable_variables)
    assert distiller.layers == student.layers
    student.compile(distiller.optimizer)
    student.save(tmp_path / "student.keras")
    loaded = recipes.load_model(tmp_path / "student.keras")
    np.testing.assert_allclose(loaded(inputs), student(inputs), atol=1e-6)


@pytest.mark.parametrize(
    "options, weights, message",
    [
        ({"hidden_size": 64}, {}, r"hidden of embeddings_norm .* distill_hidden=0"),
        ({"num_layers": 3}, {}, r"hidden of layer_2_norm .* has no such layer, the"),
        (
            {"num_heads": 4},
            {"attention": 1},
            r"attention of layer_0_scores .* distill_attention=0",
        ),
        ({}, {"answers": 0, "hidden": 0}, "Nothing is learned"),
        ({}, {"hidden": -1}, "hidden must be at least 0"),
        ({"input_shape": (4,)}, {}, "input_shape"),
    ],
)
def test_teachers_and_weights_that_do_not_fit_are_refused(options, weights, message):
    with pytest.raises(ValueError, match=message):
        BertDistiller(bert(), bert(precision="float", **options), **weights)


def test_other_networks_have_nothing_to_compare():
    with pytest.raises(ValueError, match="is no BERT: it has no hidden to compare"):
        BertDistiller(zx.TinyResidualBNN(), zx.TinyResidualBNN())


@pytest.mark.parametrize("latent", [True, False])
def test_the_weights_of_a_teacher_are_the_first_ones(latent, tmp_path):
    """Of a binary teacher, latent or not, the student computes the same."""
    teacher = bert(1, latent_weights=not latent)
    inputs, _ = batch()
    teacher(inputs, training=True)  # Sets the scales of activations.
    teacher.save(tmp_path / "teacher.keras")
    teacher = recipes.load_model(tmp_path / "teacher.keras")
    student = bert(0, latent_weights=latent)
    assert np.abs(student(inputs) - teacher(inputs)).max() > 1e-3
    copy_first_weights(teacher, student)
    same = np.isclose(student(inputs), teacher(inputs), atol=1e-5).all(axis=1)
    # Scales are means, whose rounding may turn the sign of a number near zero.
    assert same.sum() >= (5 if latent else 6)
    for name in ("layer_1_output", "embeddings_word"):
        ours, theirs = (one.get_layer(name) for one in (student, teacher))
        kernel = "kernel" if hasattr(ours, "kernel") else "embeddings"
        ours, theirs = (getattr(one, kernel).numpy() for one in (ours, theirs))
        if latent:
            np.testing.assert_array_equal(np.sign(ours), theirs)
        else:
            np.testing.assert_array_equal(ours, np.sign(theirs - theirs.mean()))


@pytest.mark.parametrize("precision", ["float", "binary_weights", "binary_activations"])
def test_a_teacher_of_another_precision_gives_all_weights_but_scales(precision):
    teacher, student = bert(1, precision=precision), bert(0, latent_weights=False)
    copy_first_weights(teacher, student)
    theirs = teacher.get_layer("layer_1_output").kernel.numpy()
    ours = student.get_layer("layer_1_output")
    np.testing.assert_array_equal(ours.kernel, np.where(theirs >= theirs.mean(), 1, -1))
    assert ours.kernel_scale.numpy() == pytest.approx(np.abs(theirs).mean(), rel=1e-5)
    for name in ("classifier", "embeddings_position", "layer_0_norm"):
        pair = (one.get_layer(name).weights for one in (student, teacher))
        for mine, other in zip(*pair):
            np.testing.assert_array_equal(mine, other)
    assert student.get_layer("layer_0_query_sign").alpha.numpy() == 1


def test_first_weights_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"embeddings_word .* \(99, 32\), and not"):
        copy_first_weights(bert(vocab_size=99), bert())
    with pytest.raises(ValueError, match="has no layer layer_1_query"):
        copy_first_weights(bert(num_layers=1), bert())
