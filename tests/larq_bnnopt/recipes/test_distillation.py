"""Knowledge distillation: the loss, and a training with a teacher."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import zoo_extensions as zx
from larq_bnnopt import recipes
from larq_bnnopt.recipes import Distiller, OneStep, Run

from .test_training import StopAfter


def classifier(seed, softmax=True, outputs=4):
    tf.keras.utils.set_random_seed(seed)
    layers = [tf.keras.Input((6,)), tf.keras.layers.Dense(outputs)]
    return tf.keras.Sequential(layers + [tf.keras.layers.Softmax()] * softmax)


def softmax(z):
    exponents = np.exp(z - z.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def logits(model, images):
    """In float64."""
    kernel, bias = (w.astype(np.float64) for w in model.layers[0].get_weights())
    return images @ kernel + bias


@pytest.mark.parametrize("ends", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("temperature, hard_labels", [(1.0, 0.0), (4.0, 0.3)])
def test_the_loss_is_the_definition(ends, temperature, hard_labels):
    student, teacher = classifier(0, ends[0]), classifier(1, ends[1])
    generator = np.random.default_rng(0)
    images = generator.normal(size=(16, 6)).astype(np.float32)
    labels = generator.integers(0, 4, 16)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=not ends[0])
    distiller = Distiller(
        student,
        teacher,
        temperature=temperature,
        hard_labels=hard_labels,
        label_loss=loss,
    )
    distiller.compile(tf.keras.optimizers.SGD(0.0), metrics=["accuracy"])
    z, y = logits(student, images), logits(teacher, images)
    p, q = softmax(z / temperature), softmax(y / temperature)
    apart = temperature**2 * (q * np.log(q / p)).sum(axis=1).mean()
    hard = -np.log(softmax(z)[np.arange(16), labels]).mean()
    expected = (1 - hard_labels) * apart + hard_labels * hard
    history = distiller.fit(images, labels, batch_size=8, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert history["teacher_loss"][0] == pytest.approx(apart, rel=1e-5)
    found = distiller.evaluate(images, labels, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    assert found["accuracy"] == (z.argmax(axis=1) == labels).mean()


def test_the_gradient_equals_the_cross_entropy_with_the_teacher():
    """AdamBNN's loss: at temperature 1 both differ by a constant."""
    student, teacher = classifier(0), classifier(1)
    images = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
    start = [weights.copy() for weights in student.get_weights()]
    distiller = Distiller(student, teacher)
    distiller.compile(tf.keras.optimizers.SGD(1.0))
    distiller.train_on_batch(images, np.zeros(16))
    p, q = softmax(logits(classifier(0), images)), softmax(logits(teacher, images))
    expected = images.T.astype(np.float64) @ (p - q) / 16
    np.testing.assert_allclose(
        start[0] - student.get_weights()[0], expected, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("is_named", [True, False])
def test_the_gradient_of_the_labels_is_a_mean(is_named, weighted):
    """A name stands for a function in Keras, which returns the loss of each input."""
    student, teacher = classifier(0), classifier(1)
    random = np.random.default_rng(0)
    images = random.normal(size=(16, 6)).astype(np.float32)
    labels, weights = random.integers(0, 4, 16), np.ones(16)
    if weighted:
        weights = random.uniform(0.5, 2, 16)
    start = student.get_weights()[0]
    loss = "sparse_categorical_crossentropy"
    if not is_named:
        loss = tf.keras.losses.SparseCategoricalCrossentropy()
    distiller = Distiller(student, teacher, hard_labels=0.25, label_loss=loss)
    distiller.compile(tf.keras.optimizers.SGD(1.0))
    distiller.train_on_batch(images, labels, weights if weighted else None)
    p, q = softmax(logits(classifier(0), images)), softmax(logits(teacher, images))
    apart = 0.75 * (p - q) + 0.25 * (p - np.eye(4)[labels])
    expected = images.T.astype(np.float64) @ (weights[:, None] * apart) / 16
    np.testing.assert_allclose(
        start - student.get_weights()[0], expected, rtol=1e-4, atol=1e-6
    )


def test_the_teacher_is_neither_trained_nor_saved(tmp_path):
    student, teacher = zx.TinyResidualBNN(), zx.TinyResidualBNN()
    before = teacher.get_weights()
    distiller = Distiller(student, teacher)
    assert distiller.layers == student.layers
    assert len(distiller.trainable_variables) == len(student.trainable_variables)
    distiller.compile("adam")
    student.compile(distiller.optimizer)
    images = np.random.default_rng(0).normal(size=(8, 28, 28, 1)).astype(np.float32)
    distiller.fit(images, np.zeros(8), verbose=0)
    for ours, expected in zip(teacher.get_weights(), before):
        np.testing.assert_array_equal(ours, expected)
    student.save(tmp_path / "student.keras")
    again = tf.keras.models.load_model(tmp_path / "student.keras")
    assert len(again.weights) == len(student.weights)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"temperature": 0}, "temperature must be positive"),
        ({"hard_labels": 1.5}, r"hard_labels must be in \[0, 1\]"),
        ({"hard_labels": 0.5}, "hard_labels needs a loss"),
        ({"teacher": classifier(0, outputs=3)}, "output_shape of the student"),
    ],
)
def test_invalid_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Distiller(**{"student": classifier(0), "teacher": classifier(1), **options})


@pytest.mark.slow
def test_a_run_with_a_teacher_resumes_exactly(images, tmp_path):
    teacher = tmp_path / "teacher.keras"
    recipe = OneStep(dataset=images, image_size=16, epochs=2, batch_size=24, seed=5)
    recipe.build_model(recipe.load_data()).save(teacher)
    recipe = dataclasses.replace(
        recipe, seed=0, teacher=str(teacher), temperature=2, hard_labels=0.5
    )
    straight = recipes.train(recipe, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        recipes.train(recipe, tmp_path / "stopped", [StopAfter(1, 3)])
    resumed = recipes.resume(Run(tmp_path / "stopped"))
    for ours, expected in zip(resumed.weights, straight.weights):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), expected.name)
    header = (tmp_path / "stopped" / "history.csv").read_text().splitlines()[0]
    assert {"teacher_loss", "val_accuracy", "flip_ratio"} <= set(header.split(","))
    # Another one that does not fit leaves no folder.
    classifier(0).save(teacher)
    with pytest.raises(ValueError, match="input_shape of the student"):
        recipes.train(recipe, tmp_path / "new")
    with pytest.raises(FileNotFoundError, match=r"no\.keras does not exist"):
        missing = dataclasses.replace(recipe, teacher=str(tmp_path / "no.keras"))
        recipes.train(missing, tmp_path / "new")
    assert not (tmp_path / "new").exists()
