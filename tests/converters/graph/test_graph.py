"""One graph: edited in its place, copied, run, and imported as rarely as can be."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.graph import graph as graph_module
from converters.graph.freezing import freeze
from converters.graph.graph import Graph, Insertion
from converters.runtime import delegate

from ..conftest import conv, noise, one_layer


def graph_of(build, size=3):
    """A graph from x, (samples, size), to y."""
    with tf.Graph().as_default() as made:
        x = tf.compat.v1.placeholder(tf.float32, (None, size), name="x")
        tf.identity(build(x), name="y")
    return Graph(made.as_graph_def(), {"input": "x:0"}, {"output": "y:0"})


def run(graph, x):
    (result,) = graph.run({"x:0": np.asarray(x, np.float32)}, ["y:0"])
    return result


def three(x):
    return tf.multiply(x, np.float32(3), name="three")


def test_a_copy_is_edited_alone():
    graph = graph_of(three)
    other = graph.copy()
    other.replace(["three:0"], ["x:0"], lambda x: x + np.float32(2), "two")
    assert other.is_edited and not graph.is_edited
    np.testing.assert_array_equal(run(graph, [[1, 2, 3]]), [[3, 6, 9]])
    np.testing.assert_array_equal(run(other, [[1, 2, 3]]), [[3, 4, 5]])
    assert "three" in graph.by_name and "three" not in other.by_name


def test_shapes_and_types_stay_known_through_edits():
    graph = graph_of(three)

    def whole(x):
        return tf.cast(tf.cast(x, tf.int32, name="whole"), tf.float32)

    (new,) = graph.replace(["three:0"], ["x:0"], whole, "cast")
    assert graph.shape(new) == (None, 3) and graph.dtype(new) == tf.float32
    assert graph.dtype("cast/whole:0") == tf.int32
    assert graph.inner_shape("y:0") == (3,)


def test_what_is_inserted_is_read_by_all_or_by_one():
    def plus(number, name):
        return lambda x: tf.add(x, np.float32(number), name=name)

    graph = graph_of(lambda x: tf.negative(x, name="minus") + tf.abs(x, name="size"))
    graph.insert(
        [
            Insertion("x:0", plus(1, "for_all")),
            Insertion("x:0", plus(10, "for_one"), "size"),
            Insertion("x:0", lambda x: x),
        ]
    )
    assert list(graph.by_name["minus"].input) == ["for_all:0"]
    assert next(iter(graph.by_name["for_one"].input)) == "for_all:0"
    np.testing.assert_array_equal(run(graph, [[1, 2, 3]]), [[10, 10, 10]])
    assert graph.shape("for_one:0") == (None, 3)


def test_constants_of_edited_parts_are_computed():
    graph = graph_of(lambda x: x * tf.sqrt(tf.constant(4.0), name="root"))
    assert graph.constant("root:0") == 2 and graph.constant("y:0") is None
    (new,) = graph.replace(["root:0"], [], lambda: tf.square(tf.constant(3.0)), "nine")
    assert graph.known(new) == 9
    np.testing.assert_array_equal(run(graph, [[1, 2, 3]]), [[9, 18, 27]])


def test_signs_follow_edits():
    graph = freeze(one_layer(conv()))
    (sign,) = graph.signs
    assert sign.layer == "binary" and sign.channels == 64
    other = graph.copy()
    other.replace([sign.sign], [sign.pre_sign], tf.abs, "binary/no_sign")
    assert other.signs == () and graph.signs == (sign,)


@pytest.fixture
def imports(monkeypatch):
    """The number of nodes of each graph that is imported into TensorFlow."""
    sizes, plain = [], tf.graph_util.import_graph_def

    def counting(graph_def, *args, **options):
        sizes.append(len(graph_def.node))
        return plain(graph_def, *args, **options)

    monkeypatch.setattr(tf.graph_util, "import_graph_def", counting)
    monkeypatch.setattr(tf, "import_graph_def", counting)
    return sizes


@pytest.mark.parametrize(
    "compared, int8, number",
    # The model, and what was made of it; in int8 it is run to calibrate it, with its
    # quantization, and with rounded kernels.
    [(False, False, 1), (True, False, 2), (False, True, 2), (True, True, 4)],
)
def test_a_conversion_imports_few_graphs(compared, int8, number, imports):
    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            tf.keras.Input((8, 8, 3)),
            layers.Conv2D(32, 3),
            layers.BatchNormalization(),
            conv(pad_values=-1.0),  # This is rewritten.
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    images = noise(model, 8)
    converters.convert(
        model,
        inputs=images if compared else None,
        calibration=images if int8 else None,
        allow_undetermined=True,
    )
    assert len(imports) == number


def test_a_conversion_leaves_no_graph_behind_where_the_kernels_are_missing(
    monkeypatch,
):
    """The error of a missing library once kept the variables of every caller."""
    model, alive = one_layer(conv()), weakref.WeakSet()
    missing = ImportError("there are no kernels")

    class Watched(graph_module.Imported):
        def __init__(self, graph_def):
            super().__init__(graph_def)
            alive.add(self)

    monkeypatch.setattr(graph_module, "Imported", Watched)
    monkeypatch.setattr(delegate, "_outcome", lambda: missing)
    for _ in range(2):
        report = converters.convert(model, inputs=noise(model)).report
        assert report.verification.backend_name.startswith("larq-compute-engine")
    del report
    gc.collect()
    assert not list(alive)
