"""Code in files of models is refused: one row a hostile file; ordinary ones load."""

import ast
import contextlib
import io
import json
import os
import pathlib
import shutil
import sys
import warnings
import zipfile

import h5py
import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.trackable import resource

import zoo_extensions as zx
from larq_bnnopt import datasets, recipes
from larq_bnnopt.cli import main
from larq_bnnopt.optimizers import CaseOptimizer, Diode
from larq_bnnopt.recipes import code_in_models, keras_names
from larq_bnnopt.recipes.losses import Crossentropy

L = tf.keras.layers
MARKER = "BNNOPT_TEST_MARKER"
KERAS = tf.keras.Model.__module__.split(".")[0]
# Modules that stand beside a file, the second as Keras of a newer TensorFlow is called.
FOREIGN = ("foreign", "tf_keras") if KERAS == "keras" else ("foreign",)


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """A file that is there once a payload has run."""
    path = tmp_path / "marker"
    monkeypatch.setenv(MARKER, str(path))
    code = (
        "import os, pathlib, tensorflow as tf\n"
        f"pathlib.Path(os.environ[{MARKER!r}]).touch()\n"
        "class Foreign(tf.keras.layers.Layer): pass\n"
        "class Spec: pass\n"
        "def function(x): return x\n"
    )
    for name in FOREIGN:
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    for name in FOREIGN:
        sys.modules.pop(name, None)


def payload(x, *others):
    import os as system
    import pathlib as paths

    paths.Path(system.environ["BNNOPT_TEST_MARKER"]).touch()
    return x


def model_with(*layers, shape=(4,)):
    return tf.keras.Sequential([tf.keras.Input(shape), *layers])


def saved(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path, save_format="h5" if path.suffix == ".h5" else None)
    return path


def rewritten(path, change, member="config.json"):
    """Changes the configuration in a .keras file."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files[member])
    files[member] = json.dumps(change(config) or config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def reworded(path, change, attribute="model_config"):
    """Changes the configuration in an HDF5 file."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs[attribute])
        file.attrs[attribute] = json.dumps(change(config) or config)
    return path


def dense(folder, suffix="keras"):
    model = model_with(L.Dense(2, name="dense"))
    model.compile("sgd", "mse")
    return saved(model, folder / f"m.{suffix}")


def with_layer(layer, suffix="keras"):
    """A model whose Dense layer is replaced by the object of a dictionary."""

    def make(folder):
        def change(config):
            config["config"]["layers"][-1] = layer

        path = dense(folder, suffix)
        return (rewritten if suffix == "keras" else reworded)(path, change)

    return make


def with_activation(activation):
    def make(folder):
        def change(config):
            config["config"]["layers"][-1]["config"]["activation"] = activation

        return rewritten(dense(folder), change)

    return make


def with_lambda(function, **config):
    config |= {"name": "evil", "function": function, "function_type": "function"}
    module = "keras.layers"
    config |= {"output_shape": None, "output_shape_type": "raw"}
    return with_layer({"class_name": "Lambda", "module": module, "config": config})


def with_loss(loss, suffix="keras"):
    def make(folder):
        def change(config):
            (config.get("compile_config") or config)["loss"] = loss

        path = dense(folder, suffix)
        if suffix == "keras":
            return rewritten(path, change)
        return reworded(path, change, "training_config")

    return make


def calling(function, **arguments):
    """A functional model with one of TensorFlow's functions, by its name."""

    def make(folder):
        image = tf.keras.Input((4,))
        path = saved(tf.keras.Model(image, tf.math.abs(image)), folder / "m.keras")

        def change(config):
            (layer,) = (
                x for x in config["config"]["layers"] if x["class_name"] == "TFOpLambda"
            )
            layer["config"]["function"] = function
            layer["inbound_nodes"][0][-1].update(arguments)

        return rewritten(path, change)

    return make


def lambda_h5(folder):
    return saved(model_with(L.Lambda(payload, name="evil")), folder / "m.h5")


def renamed(make, name):
    def rename(folder):
        return make(folder).rename(folder / name)

    return rename


def lambda_code():
    """What Keras writes for a function's code."""
    return L.Lambda(payload).get_config()["function"]


def archive_with(*names, content=b""):
    def make(folder):
        path = dense(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
                for name in names:
                    archive.writestr(name, content)
        return path

    return make


def linked(make_dataset, suffix="h5"):
    """A file whose kernel is replaced by something that reads elsewhere."""

    def make(folder):
        (folder / "other").write_bytes(bytes(32))
        with h5py.File(folder / "other.h5", "w") as other:
            other["x"] = np.zeros((4, 2), np.float32)
        path = dense(folder, "h5")
        with h5py.File(path, "r+") as file:
            group = file["model_weights/dense/dense"]
            del group["kernel:0"]
            make_dataset(group, folder)
        return path

    return make


def virtual(group, folder):
    layout = h5py.VirtualLayout((4, 2), np.float32)
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", (4, 2))
    group.create_virtual_dataset("kernel:0", layout)


def external(group, folder):
    where = [(str(folder / "other"), 0, 32)]
    group.create_dataset("kernel:0", (4, 2), np.float32, external=where)


def link(group, folder):
    group["kernel:0"] = h5py.ExternalLink(str(folder / "other.h5"), "x")


def hollow(group, folder):
    group.create_dataset("kernel:0", (1 << 40,), np.float32, chunks=(1 << 20,))


def functional_inside(folder):
    inner = model_with(L.Lambda(payload, name="evil"))
    image = tf.keras.Input((4,))
    return saved(tf.keras.Model(image, L.Dense(2)(inner(image))), folder / "m.h5")


def saved_model(folder):
    path = folder / "saved"
    model_with(L.Lambda(payload, name="evil")).save(path)
    return path


def foreign(class_name, name, **more):
    return {
        "class_name": class_name, "module": "foreign", "registered_name": name,
        "config": {"name": "evil"}, "build_config": {"input_shape": [None, 4]}, **more,
    }  # fmt: skip


def function(name, module):
    return {
        "class_name": "function",
        "config": name,
        "module": module,
        "registered_name": name,
    }


class Pickled:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(os.environ[MARKER]),)


def pickled(folder):
    """A .keras file whose weights are a pickle."""
    path, weights = dense(folder), io.BytesIO()
    np.savez(weights, __root__=np.array([Pickled()], dtype=object))
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    del files["model.weights.h5"]
    files["model.weights.npz"] = weights.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def whole(config):
    """A .keras file that is one object, no model."""
    return lambda folder: rewritten(dense(folder), lambda _: config)


def two_names(kind, registered="QuantDense", **config):
    """An HDF5 file with a layer that is also called as a registered class is."""
    layer = {"class_name": kind, "registered_name": registered}
    return with_layer({**layer, "config": {"name": "evil", **config}}, "h5")


def writing_by_another_name(folder):
    image = tf.keras.Input((4,))
    path = saved(tf.keras.Model(image, tf.nn.relu(image)), folder / "m.h5")

    def change(config):
        layer = config["config"]["layers"][-1]
        layer["registered_name"] = "QuantDense"
        layer["config"] |= {"name": "evil", "function": "io.write_file"}
        content = ["_CONSTANT_VALUE", -1, os.environ[MARKER], {"contents": "x"}]
        layer["inbound_nodes"] = [content]

    return reworded(path, change)


class Writer(resource.TrackableResource):
    """What a SavedModel makes when it is loaded: it writes a file."""

    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[])

    def _initialize(self):
        tf.io.write_file(os.environ[MARKER], "x")


def reloaded(folder):
    """A description of Keras's layer around a SavedModel."""
    module = tf.Module()
    module.writer = Writer()
    _ = module.writer.resource_handle
    module.serve = tf.function(tf.identity, [tf.TensorSpec((None, 4))])
    tf.saved_model.save(module, str(folder / "saved"))
    return {
        "class_name": "ReloadedLayer",
        "module": f"{KERAS}.src.export.export_lib",
        "registered_name": None,
        "config": {"name": "evil", "filepath": str(folder / "saved")}
        | {"call_endpoint": "serve"},
    }


# Each file, and a word of the line that refuses it.
RUNS = {
    "pickle for weights": (pickled, "'model.weights.npz', which Keras does not write"),
    **{
        f"{kind.split(',')[0]} of another module": (
            whole({**foreign(kind, kind), "config": {"x": 1}}),
            "of the module 'foreign'",
        )
        for kind in [
            "TensorShape",
            "TypeSpec",
            "CompositeTensor",
            "__tuple__",
            "__ellipsis__",
            *(text["class_name"] for text in code_in_models._TEXTS),
        ]
    },
    "shape of another module as loss": (
        with_loss(foreign("TensorShape", None)),
        "'foreign'",
    ),
    "registered name in another module": (
        whole(foreign("QuantDense", None)),
        "the class 'QuantDense' of the module 'foreign'",
    ),
    "alias in another module": (
        with_loss(foreign("ste_sign", None)),
        "the class 'ste_sign' of the module 'foreign'",
    ),
    "Keras's name in another module": (
        whole(foreign("Dense", None)),
        "the class 'Dense' of the module 'foreign'",
    ),
    "function of Keras's name in another module": (
        with_activation(
            {**function("relu", "foreign"), "config": "relu"},
        ),
        "the function 'relu' of the module 'foreign'",
    ),
    "type of Keras's name in another module": (
        with_loss(
            {**foreign("__typespec__", None, spec_name="TensorSpec"), "config": []}
        ),
        "the type 'TensorSpec'",
    ),
    **{
        f"Keras of a newer TensorFlow, {name}": (make, "'tf_keras'")
        for name, make in {
            "class": whole({**foreign("Dense", None), "module": "tf_keras"}),
            "function": with_activation(function("relu", "tf_keras")),
        }.items()
        if KERAS == "keras"
    },
    "function under a registered class": (
        writing_by_another_name,
        "'evil' (TFOpLambda) is 'TFOpLambda' by its name and 'QuantDense'",
    ),
    "SavedModel as loss": (
        lambda folder: with_loss(reloaded(folder))(folder),
        "'evil' (ReloadedLayer)",
    ),
    "lambda": (lambda_h5, "'evil' (Lambda) runs Python code"),
    "lambda in an old .keras": (renamed(lambda_h5, "m.keras"), "'evil' (Lambda)"),
    "lambda by another name": (renamed(lambda_h5, "m.model"), "'evil' (Lambda)"),
    "lambda in a model within": (functional_inside, "'evil' (Lambda)"),
    "lambda in a wrapper": (
        lambda folder: saved(
            model_with(L.TimeDistributed(L.Lambda(payload, name="evil")), shape=(2, 4)),
            folder / "m.h5",
        ),
        "'evil' (Lambda)",
    ),
    "lambda in .keras": (
        lambda folder: saved(model_with(L.Lambda(payload)), folder / "m.keras"),
        "runs Python code",
    ),
    "SavedModel": (saved_model, "is a SavedModel"),
    "class of another module": (
        lambda folder: rewritten(
            dense(folder), lambda config: foreign("Foreign", "Foreign")
        ),
        "'foreign'",
    ),
    "function of another module": (
        with_lambda(function("function", "foreign")),
        "the function 'function' of the module 'foreign'",
    ),
    "loss as code": (
        with_loss({"class_name": "__lambda__", "config": {"value": None}}),
        "runs Python code",
    ),
    "metric of another module": (
        with_loss(function("function", "foreign")),
        "'foreign'",
    ),
    "type of another module": (
        with_loss({**foreign("__typespec__", None, spec_name="Spec"), "config": []}),
        "the type 'Spec'",
    ),
}
LEADS = {
    **{
        f"member {name}": (archive_with(name), f"{name!r}, which Keras does not write")
        for name in ["model.weights.npz", "x.pkl", "keras_metadata.pb", "assets.npz"]
    },
    "SavedModel in a layer": (
        lambda folder: with_layer(reloaded(folder))(folder),
        "'evil' (ReloadedLayer)",
    ),
    "SavedModel in HDF5": (
        lambda folder: with_layer(reloaded(folder), "h5")(folder),
        "'evil' (ReloadedLayer)",
    ),
    "path of a layer": (
        with_layer({"class_name": "Dense", "config": {"filepath": "/etc/x"}}, "h5"),
        "reads the file '/etc/x'",
    ),
    **{
        f"no part of a model, {name}": (
            with_loss(
                {"class_name": name, "module": f"{KERAS}.src.{module}"}
                | {"registered_name": None, "config": {}}
            ),
            f"the class '{name}'",
        )
        for name, module in {
            "ModuleWrapper": "engine.functional",
            "RestoredOptimizer": "optimizers.optimizer",
            "Bias": "testing_infra.test_utils",
        }.items()
    },
    "Lambda under a registered class": (
        two_names("Lambda", function="open", function_type="function"),
        "is 'Lambda' by its name and 'QuantDense'",
    ),
    "Lambda under a class of Keras": (
        two_names("Lambda", "Custom>Adam", function="open", function_type="function"),
        "is 'Lambda' by its name and 'Adam'",
    ),
    "method under a registered class": (
        two_names("ClassMethod", cls_symbol="io.gfile.GFile", method_name="write"),
        "is 'ClassMethod' by its name and 'QuantDense'",
    ),
    "operator under a registered function": (
        two_names("TensorFlowOpLayer", "ste_sign", node_def='{"op": "ReadFile"}'),
        "is 'TensorFlowOpLayer' by its name",
    ),
    "function for a class": (
        with_layer(
            {
                "class_name": "deserialize_keras_object",
                "registered_name": "QuantDense",
                "config": {"name": "evil", "config": "x"},
            }
        ),
        "is 'deserialize_keras_object' by its name",
    ),
    "second name of a function": (
        with_activation(
            {
                **function("relu", f"{KERAS}.src.utils.generic_utils"),
                "registered_name": "func_load",
            }
        ),
        "the function 'relu' of the module",
    ),
    "function of a class": (
        with_activation(function("Model.load_weights", f"{KERAS}.src.engine.training")),
        "'Model.load_weights'",
    ),
    "list for a function": (with_activation(function(["open"], "io")), "['open']"),
    "number for a module": (with_layer(foreign("Dense", None, module=7)), "'7'"),
    "nothing for a module": (
        with_layer(foreign("Dense", None, module=None)),
        "'Dense'",
    ),
    "shell": (with_activation(function("system", "os")), "'system' of the module 'os'"),
    "builtin": (with_activation(function("eval", "builtins")), "'eval'"),
    "builtin by way of Keras": (
        with_activation(function("func_load", "keras.src.utils.generic_utils")),
        "'func_load'",
    ),
    "other function of Keras": (
        with_activation(function("load_model", "keras.models")),
        "'load_model'",
    ),
    "lookup by Keras": (
        with_activation(function("deserialize", "keras.activations")),
        "'deserialize'",
    ),
    "process": (
        with_layer({**foreign("Popen", "Popen"), "module": "subprocess"}),
        "'Popen' of the module 'subprocess'",
    ),
    "class under a second name": (
        with_layer(
            {**foreign("Dense", "func_load"), "module": "keras.src.utils.generic_utils"}
        ),
        "'Dense'",
    ),
    "class within a class": (
        with_layer({**foreign("os.system", None), "module": "shutil"}),
        "'os.system'",
    ),
    "number for a class": (with_layer({"class_name": 7, "config": {}}), "'7'"),
    "class unknown to HDF5": (
        with_loss({"class_name": "partial", "config": {"func": "os.system"}}, "h5"),
        "'partial'",
    ),
    "wrapper of cells": (
        with_layer(
            {
                "class_name": "ResidualWrapper",
                "config": {"name": "evil", "function_type": "lambda", "function": 1},
            },
            "h5",
        ),
        "'evil' (ResidualWrapper) runs Python code",
    ),
    "shape of a Lambda": (
        with_layer(
            {
                "class_name": "Lambda",
                "config": {
                    "name": "evil",
                    "function": "relu",
                    "function_type": "function",
                    "output_shape": lambda_code(),
                    "output_shape_type": "lambda",
                },
            },
            "h5",
        ),
        "'evil' (Lambda) runs Python code",
    ),
    "Lambda around a function of Keras": (
        with_lambda(function("load_model", "keras.models"), arguments={"safe_mode": 0}),
        "'load_model'",
    ),
    "Lambda around the shell": (
        with_lambda(function("system", "os"), arguments={"command": "true"}),
        "'system' of the module 'os'",
    ),
    "writes": (calling("io.write_file"), "TensorFlow's function 'io.write_file'"),
    "reads": (calling("io.read_file"), "'io.read_file'"),
    "reads as in version 1": (calling("compat.v1.read_file"), "'compat.v1.read_file'"),
    "prints into a file": (calling("print"), "'print'"),
    "calls Python": (calling("py_function"), "'py_function'"),
    "downloads": (calling("keras.utils.get_file"), "'keras.utils.get_file'"),
    "removes": (calling("io.gfile.rmtree"), "'io.gfile.rmtree'"),
    "raw operator": (calling("raw_ops.ReadFile"), "'raw_ops.ReadFile'"),
    "no function at all": (calling(["math.abs"]), "TensorFlow's function"),
    "method of a file": (
        with_layer(
            {
                "class_name": "ClassMethod",
                "config": {"cls_symbol": "io.gfile.GFile", "method_name": "write"},
            },
            "h5",
        ),
        "the method 'write' of 'io.gfile.GFile'",
    ),
    "hidden attribute": (
        with_layer(
            {
                "class_name": "InstanceMethod",
                "config": {"name": "evil", "attr_name": "__class__"},
            },
            "h5",
        ),
        "'evil' (InstanceMethod) uses the attribute '__class__'",
    ),
    "old operator": (
        with_layer(
            {
                "class_name": "TensorFlowOpLayer",
                "config": {"name": "evil", "node_def": '{"op": "ReadFile"}'},
            },
            "h5",
        ),
        "TensorFlow's operator 'ReadFile'",
    ),
    "words of a file": (
        with_layer(
            {
                "class_name": "StringLookup",
                "module": "keras.layers",
                "config": {"name": "evil", "vocabulary": "/etc/passwd"},
            }
        ),
        "'evil' (StringLookup) reads the file '/etc/passwd'",
    ),
    "escape sequence in a name": (
        with_layer({"class_name": "\x1b]0;owned\x07", "config": {}}, "h5"),
        r"'\x1b]0;owned\x07'",
    ),
    "link": (linked(link), "is a link to"),
    "virtual": (linked(virtual), "is read from another file"),
    "external": (linked(external), "is read from another file"),
    "hollow": (linked(hollow), "in memory"),
    "swollen": (archive_with("assets/zeros", content=bytes(1 << 27)), "in memory"),
    "twice": (archive_with("config.json", content=b"{}"), "'config.json' twice"),
    "outside": (archive_with("assets/../../x"), "'assets/../../x'"),
    "absolute": (archive_with("/tmp/x"), "'/tmp/x'"),
    "folder": (lambda folder: folder, "is a folder and no file of a model"),
}


@pytest.mark.parametrize("name", [*RUNS, *LEADS])
def test_is_refused_in_one_line(name, tmp_path, marker):
    make, word = {**RUNS, **LEADS}[name]
    path = make(tmp_path)
    marker.unlink(missing_ok=True)  # Saving a model calls it.
    with pytest.raises(ValueError) as refused:
        recipes.load_model(path)
    assert word in str(refused.value) and "\n" not in str(refused.value)
    assert not marker.exists() and not set(FOREIGN) & set(sys.modules)
    if name != "folder":
        assert "safe_mode=False" in str(refused.value)
        assert "--trust" in str(refused.value)


@pytest.mark.parametrize("name", RUNS)
def test_the_payload_is_real(name, tmp_path, marker):
    """With the switch it runs: otherwise the test above would show nothing."""
    path = RUNS[name][0](tmp_path)
    if name == "loss as code":
        code = lambda_code()
        rewritten(path, lambda config: swap_loss(config, code))
    marker.unlink(missing_ok=True)
    with contextlib.suppress(ValueError):  # Not all of them are models then.
        model = recipes.load_model(path, safe_mode=False)
        model(np.zeros((1, *model.input_shape[1:]), np.float32))
        if name == "loss as code":
            model.evaluate(np.zeros((1, 4)), np.zeros((1, 2)), verbose=0)
    assert marker.exists()


def swap_loss(config, code):
    config["compile_config"]["loss"]["config"]["value"] = code


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "null", "[]", '"x"', "7"])
def test_damage_is_one_line(content, tmp_path, marker):
    path = dense(tmp_path)
    with zipfile.ZipFile(path) as archive:
        weights = archive.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", content)
        archive.writestr("model.weights.h5", weights)
    with pytest.raises(
        ValueError, match=r"cannot be read|holds no Keras model"
    ) as refused:
        recipes.load_model(path)
    assert "\n" not in str(refused.value)


def functional(*steps):
    image = tf.keras.Input((8, 8, 3))
    x = image
    for step in steps:
        x = step(x)
    return tf.keras.Model(image, x)


def operators():
    return functional(
        L.Conv2D(4, 3, activation=tf.nn.relu6, kernel_regularizer="l2"),
        lambda x: tf.nn.relu(x * 2 + 1),
        lambda x: x[:, 1:, ::2],
        lambda x: tf.reshape(x, [-1, 60]),
        lambda x: tf.concat([x, tf.sign(x)], -1),
        lambda x: tf.math.tanh(tf.keras.backend.mean(x, axis=1, keepdims=True)),
        lambda x: tf.clip_by_value(1 - x, -1.0, 1.0),
        lambda x: tf.where(x > 0, x @ tf.constant([[2.0]]), 0.0),
        L.Dense(2, activation=tf.nn.silu),
        L.Activation(tf.keras.activations.gelu),
    )


def trained(model, optimizer, loss="mse", metrics=("mae",)):
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def wrapped():
    return model_with(
        L.TimeDistributed(L.Conv2D(2, 3)),
        L.Reshape((4, -1)),
        L.Bidirectional(L.SimpleRNN(3)),
        L.LayerNormalization(),
        shape=(4, 5, 5, 1),
    )


def words():
    image = tf.keras.Input((1,), dtype="string")
    x = L.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(image)
    return tf.keras.Model(image, L.Dense(2)(x))


def ragged():
    image = tf.keras.Input((None,), ragged=True)
    return tf.keras.Model(image, tf.reduce_mean(image, axis=1, keepdims=True))


def attention():
    image = tf.keras.Input((4, 8))
    return tf.keras.Model(image, L.MultiHeadAttention(2, 3)(image, image))


def binary():
    free = lq.layers.QuantDense(
        3,
        input_quantizer="ste_sign",
        kernel_quantizer=lq.quantizers.NoOp(precision=1),
        kernel_initializer=zx.initializers.BernoulliSign(),
    )
    model = model_with(free, L.BatchNormalization())
    adam = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(0.1, 9))
    optimizer = CaseOptimizer(
        (Diode.is_binary_variable, Diode()), default_optimizer=adam
    )
    trained(model, optimizer, Crossentropy(0.1))
    model.fit(np.zeros((2, 4)), np.zeros(2), verbose=0)
    return model


def quantized():
    return trained(
        model_with(
            lq.layers.QuantDense(
                4,
                input_quantizer="ste_sign",
                kernel_quantizer=lq.quantizers.MagnitudeAwareSign(),
                kernel_constraint="weight_clip",
            ),
            L.BatchNormalization(),
        ),
        lq.optimizers.CaseOptimizer(
            (lq.optimizers.Bop.is_binary_variable, lq.optimizers.Bop()),
            default_optimizer=tf.keras.optimizers.legacy.Adam(),
        ),
    )


@tf.keras.saving.register_keras_serializable("test_code_in_models")
class Own(tf.keras.layers.Layer):
    """A layer of the user's."""

    def call(self, x):
        return x + 1


@tf.keras.saving.register_keras_serializable("test_code_in_models", "Called")
class CalledOtherwise(Own):
    """A layer of the user's, under a name of its own."""


@tf.keras.saving.register_keras_serializable("test_code_in_models")
def own_loss(labels, outputs):
    return tf.reduce_mean(tf.abs(labels - outputs), -1)


@tf.keras.saving.register_keras_serializable("test_code_in_models")
def own_penalty(weights):
    return tf.reduce_sum(weights**2)


@tf.keras.saving.register_keras_serializable("test_code_in_models")
def own_activation(x):
    return tf.nn.relu(x) * 2


class Unregistered(tf.keras.losses.Loss):
    """A loss of the user's that Keras finds in its module."""

    def call(self, labels, outputs):
        return own_loss(labels, outputs)


ORDINARY = {
    "registered otherwise": lambda: model_with(CalledOtherwise()),
    "functions of a package": lambda: trained(
        model_with(L.Dense(2)), "sgd", own_loss, [own_loss, "mae"]
    ),
    "operators": operators,
    "wrappers": wrapped,
    "words": words,
    "ragged": ragged,
    "attention": attention,
    "binary": binary,
    "quantized": quantized,
    "bnext": lambda: model_with(
        lq.layers.QuantDense(3, kernel_quantizer=zx.quantizers.TemperatureSign())
    ),
    "registered": lambda: model_with(Own(), L.Dense(2)),
    "losses": lambda: trained(
        model_with(L.Dense(2, "softmax")),
        tf.keras.optimizers.AdamW(),
        tf.keras.losses.Huber(),
        ["mae", tf.keras.metrics.AUC(), tf.keras.losses.cosine_similarity],
    ),
    "legacy": lambda: trained(model_with(L.Dense(2)), tf.keras.optimizers.legacy.SGD()),
}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_models_load(name, suffix, tmp_path):
    model = ORDINARY[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = recipes.load_model(saved(model, tmp_path / f"m.{suffix}"))
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_contents_of_keras_files_alone_load(tmp_path):
    """HDF5 files lose the package of these functions, and the module of the class."""
    own = L.Dense(2, own_activation, kernel_regularizer=own_penalty)
    model = trained(model_with(own), "sgd", Unregistered())
    loaded = recipes.load_model(saved(model, tmp_path / "m.keras"))
    assert loaded.layers[0].activation is own_activation
    if KERAS != "keras":  # Keras 2.15 leaves the name of the function there.
        assert loaded.layers[0].kernel_regularizer is own_penalty
    assert type(loaded.loss) is Unregistered


def test_the_words_of_an_archive_load(tmp_path):
    image = tf.keras.Input((1,), dtype="string")
    words = L.StringLookup(output_mode="multi_hot")
    words.adapt(["b", "a", "b"])
    model = tf.keras.Model(image, L.Dense(2)(words(image)))
    path = saved(model, tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        assert any(name.startswith("assets/") for name in archive.namelist())
    code_in_models.refuse_code(path)
    if KERAS == "keras":  # That of Python 3.12 finds an end in the archive.
        loaded = recipes.load_model(path)
        assert loaded.layers[-2].get_vocabulary() == words.get_vocabulary()


def test_custom_objects_are_trusted(tmp_path):
    class Mine(tf.keras.layers.Layer):
        def call(self, x):
            return x + 1

    path = saved(model_with(Mine()), tmp_path / "m.h5")
    model = recipes.load_model(path, custom_objects={"Mine": Mine})
    np.testing.assert_array_equal(model(np.zeros((1, 4))), np.ones((1, 4)))
    with tf.keras.saving.custom_object_scope({"Mine": Mine}):
        recipes.load_model(path)


# Commands.


@pytest.fixture
def hostile_run(tmp_path, marker):
    """A run folder from elsewhere: its model holds code."""
    run = recipes.Run.create(tmp_path / "run")
    run.write_config(recipes.OneStep(epochs=1).resolved(10).as_dict())
    run.tflite.touch()
    evil = model_with(L.Lambda(payload, name="evil"), shape=(28, 28, 1))
    saved(evil, tmp_path / "evil.h5")
    shutil.copy(tmp_path / "evil.h5", run.model)
    marker.unlink(missing_ok=True)
    return run.folder


COMMANDS = {
    "convert a run": "convert {run}",
    "convert a file": "convert {evil} --dataset fashion_mnist_mini",
    "verify": "verify {run}",
    "verify a file": "verify {evil} {run}/model.tflite --dataset fashion_mnist_mini",
    "package": "package {run} {run}/package",
    "profile": "profile {run} --seconds 0.01",
    "evaluate": "evaluate {run}",
    "evaluate a file": "evaluate {evil} --dataset fashion_mnist_mini",
    "predict": "predict {evil} {image}",
    "resume": "train --resume {run}",
    "start": "train --recipe fine_tune --start {evil} --run {run}/new",
    "teacher": "train --teacher {evil} --epochs 1 --run {run}/new",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_refuse_it(name, hostile_run, marker, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name == "convert a run":
        (hostile_run / "model.tflite").unlink()
    image = tmp_path / "x.png"
    pixels = tf.zeros((28, 28, 1), tf.uint8)
    image.write_bytes(tf.io.encode_png(pixels).numpy())
    files = {"run": hostile_run, "evil": tmp_path / "evil.h5", "image": image}
    words = COMMANDS[name].format(**files)
    before = (hostile_run / "model.keras").read_bytes()
    assert main(words.split()) == 2
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("bnnopt: ") and "'evil' (Lambda)" in said
    assert "--trust" in said
    assert not marker.exists()
    assert (hostile_run / "model.keras").read_bytes() == before
    assert not (hostile_run / "new").exists()


@pytest.mark.parametrize("field", ["teacher", "start"])
def test_a_foreign_configuration_names_it(field, hostile_run, marker, tmp_path, capfd):
    config = json.loads((hostile_run / "config.json").read_text())
    config["recipe"][field] = str(tmp_path / "evil.h5")
    if field == "start":
        config["recipe"] |= {"kind": "fine_tune", "model": ""}
    (hostile_run / "model.keras").unlink()
    del config["began_with"]
    (hostile_run / "config.json").write_text(json.dumps(config))
    assert main(["train", "--resume", str(hostile_run)]) == 2
    assert "'evil' (Lambda)" in capfd.readouterr().err
    assert not marker.exists()


def test_a_command_trusts_with_its_option(hostile_run, marker, tmp_path, capfd):
    words = ["profile", str(hostile_run), "--seconds", "0.01", "--trust"]
    assert main(words) != 0  # Its .tflite is empty: the model was loaded before.
    assert marker.exists()
    assert "(Lambda)" not in capfd.readouterr().err
    marker.unlink()
    assert main(words[:-1]) == 2 and not marker.exists()


@pytest.mark.parametrize("name", ["huggingface:mnist", "kaggle:x/y:1.0.0", "a:b"])
def test_community_data_sets_run_no_code(name):
    with pytest.raises(ValueError, match="whose code would be run"):
        datasets.load(name)


@pytest.mark.parametrize(
    "name",
    ["model.keras", "history.csv", "flips.csv", ".config.json.part", "config.json"],
)
@pytest.mark.parametrize("words", ["train --resume {}", "convert {}", "report {}"])
def test_no_link_leads_out_of_a_run(name, words, hostile_run, tmp_path, capfd):
    """What a command writes into a run from elsewhere would lie there."""
    target = tmp_path / "target"
    path = hostile_run / name
    if path.exists():
        shutil.move(path, target)
    else:
        target.write_text("mine")
    before = target.read_bytes()
    path.symlink_to(target)
    (hostile_run / "model.tflite").unlink()
    assert main(words.format(hostile_run).split()) == 2
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert f"{path} is a link that leads out of the run" in said
    assert target.read_bytes() == before


def test_links_within_a_run_are_followed(hostile_run):
    run = recipes.Run(hostile_run)
    (hostile_run / "best.keras").symlink_to("model.keras")
    assert run.read_recipe()["kind"] == "one_step"


def test_nothing_is_unpickled():
    """No module imports pickle or marshal; NumPy is always called to read none."""
    root = pathlib.Path(recipes.__file__).parents[2]
    for package in ("larq_bnnopt", "converters", "zoo_extensions"):
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    names = {alias.name.split(".")[0] for alias in node.names}
                    names.add((getattr(node, "module", None) or "").split(".")[0])
                    assert not names & {"pickle", "marshal", "shelve", "dill"}, path
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
                    told = {word.arg: word.value for word in node.keywords}
                    assert ast.unparse(told["allow_pickle"]) == "False", path


def test_the_names_are_still_in_keras():
    """What the check is built on is there in this TensorFlow."""
    assert keras_names.only_computes("math.abs")
    assert keras_names.only_computes("__operators__.getitem")
    assert not keras_names.only_computes("io.write_file")
    names = {kind.__name__ for kind in keras_names.keras_classes()}
    assert {"Functional", "Dense", "TFOpLambda", "Lambda", "AdamW"} <= names
    assert os.environ.get(MARKER) is None
