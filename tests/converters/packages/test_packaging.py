"""Packages: what they hold, and how a replay tells rounding from damage and faults."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf

import converters
from converters.packages.subgraph_runner import SubgraphRunner, flipped, margin
from converters.runtime import Interpreter, TfliteFile

from ..conftest import conv, noise

FILES = {
    "model.tflite", "golden.npz", "labels.txt", "metadata.json", "README.md",
    "SHA256SUMS",
}  # fmt: skip


@pytest.fixture(scope="module")
def packaged(trained, tmp_path_factory):
    model, images, _ = trained
    folder = tmp_path_factory.mktemp("packages") / "device"
    converters.package(
        converters.convert(model, inputs=images[:50]),
        folder,
        inputs=images[:20],
        model=model,
        class_names=[f"class {index}" for index in range(10)],
        preprocessing="pixel / 127.5 - 1",
        metadata={"sensor": "OV2640"},
    )
    return folder


@pytest.fixture
def copy(packaged, tmp_path):
    shutil.copytree(packaged, tmp_path / "copy")
    return tmp_path / "copy"


def resign(folder):
    """Writes SHA256SUMS again, as someone would who changes files on purpose."""
    names = sorted(FILES - {"SHA256SUMS"})
    sums = subprocess.run(
        ["sha256sum", *names], cwd=folder, capture_output=True, text=True, check=True
    )
    (folder / "SHA256SUMS").write_text(sums.stdout)


def spoil(folder, change):
    """Replaces the file of a package by another one."""
    path = folder / "model.tflite"
    path.write_bytes(change(path.read_bytes()))
    resign(folder)


def test_a_package_is_whole(packaged, trained):
    model, images, _ = trained
    assert {path.name for path in packaged.iterdir()} == FILES
    assert [path.name for path in packaged.parent.iterdir()] == ["device"]
    check = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    assert subprocess.run(check, cwd=packaged, capture_output=True).returncode == 0
    content = json.loads((packaged / "metadata.json").read_text())
    (given,) = content["inputs"]
    assert given["name"] == model.input_names[0] and given["dtype"] == "float32"
    assert given["shape"] == [1, 28, 28, 1] and content["samples"] == 20
    assert content["metadata"] == {"sensor": "OV2640"}
    assert content["model"] == model.name and "numpy" in content["versions"]
    labels = (packaged / "labels.txt").read_text().splitlines()
    assert len(labels) == 10 and labels[3] == "class 3"
    with np.load(packaged / "golden.npz", allow_pickle=False) as golden:
        np.testing.assert_array_equal(golden["input_0"], images[:20])
        interpreter = Interpreter(packaged / "model.tflite", backend="lce")
        outputs = interpreter.predict(images[:20])
        np.testing.assert_array_equal(golden["output_0"], outputs)
        expected = model.predict(images[:20], verbose=0)
        np.testing.assert_allclose(golden["keras_0"], expected, atol=1e-6)
        assert golden["margin"].shape == (20,) and (golden["margin"] > 0).all()


def test_the_readme_runs(packaged):
    page = (packaged / "README.md").read_text()
    assert "Preprocessing: pixel / 127.5 - 1" in page
    program = page.split("```python\n")[1].split("```")[0]
    assert len(program.splitlines()) == 5
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=packaged,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.count("[") == 21


def test_the_replay_gives_the_golden_outputs(packaged):
    result = converters.replay(packaged)
    assert result and result.passed and result.samples == 20
    # They are those of Larq Compute Engine, and the replay runs our kernels.
    assert result.output_difference <= result.largest_difference < 1e-5
    assert result.mismatched == ()
    assert (result.unexplained_flips, result.flipped_near_zero) == (0, 0)
    # Six layers with signs: 2 of 14x14x32, 2 of 7x7x64, of 7x7x32 and so on.
    assert result.signs == 20 * (3 * 14 * 14 * 32 + 2 * 7 * 7 * 64 + 4 * 4 * 128)
    assert result.verdict == "all 20 inputs gave the golden outputs"
    assert result.keras_difference < 1e-5
    assert json.loads(json.dumps(result.as_dict()))["passed"] is True


def test_the_replay_loads_nothing_of_keras(tmp_path):
    program = (
        "import sys, converters.packages.replaying;"
        "print({'tensorflow', 'larq', 'keras', 'tf_keras'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.stdout == "set()\n", run.stderr


def test_commands_on_a_package_load_no_graphs(packaged, tmp_path):
    """They are what a board has; test_architecture.py says which folders are not."""
    program = f"""
import contextlib, io, sys
from larq_bnnopt.cli import doctor, main

# It trains and converts in other processes; test_doctor.py lets it.
doctor.self_test = lambda program: (dict.fromkeys(doctor._STEPS, ""), "")
with contextlib.redirect_stdout(io.StringIO()):
    codes = [main(["verify", {str(packaged)!r}])]
    words = ["--brief", "--seconds", "0.2"]
    codes += [main(["profile", {str(packaged / "model.tflite")!r}, *words])]
    codes += [main(["doctor"])]
print(*codes, *sorted(name for name in sys.modules if name.startswith("converters.")))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    words = run.stdout.split()
    assert words[:3] == ["0", "0", "0"], run.stderr
    folders = {name.split(".")[1] for name in words[3:]}
    assert {"packages", "profiling", "runtime"} <= folders
    assert not folders & {"graph", "rewrites", "int8", "checks"}


@pytest.mark.parametrize("name", sorted(FILES - {"SHA256SUMS"}))
def test_a_damaged_file_is_named(name, copy):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^{name} of .*copy is damaged"):
        converters.replay(copy)
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"^{name} of .*copy is missing"):
        converters.replay(copy)


@pytest.mark.parametrize("text", ["", "not sums\n", "0" * 64 + "  ../../etc/passwd\n"])
def test_damaged_sums_are_named(text, copy):
    (copy / "SHA256SUMS").write_text(text)
    with pytest.raises(ValueError, match=r"^SHA256SUMS of .*copy is damaged"):
        converters.replay(copy)
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(FileNotFoundError, match="has no SHA256SUMS"):
        converters.replay(copy)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", b"TFL3TFL3TFL3"])
def test_a_foreign_file_with_true_sums_is_one_clear_error(content, copy):
    (copy / "golden.npz").write_bytes(content)
    resign(copy)
    with pytest.raises(ValueError, match=r"golden.npz of .*copy is damaged"):
        converters.replay(copy)
    spoil(copy, lambda _: content)
    with pytest.raises(ValueError, match=r"model.tflite is (not|a damaged)"):
        converters.replay(copy)


def flipped_bit(content, place):
    """The content with one weight of its place-th binary convolution flipped."""
    file = TfliteFile(content)
    layers = [one for one in file.operators if one.name == "LceBconv2d"]
    packed = file.data(layers[place].inputs[1]).tobytes()
    assert content.count(packed) == 1
    return content.replace(packed, bytes([packed[0] ^ 1]) + packed[1:])


@pytest.mark.parametrize("place", [0, 4])
def test_one_flipped_weight_is_a_fault_at_its_place(place, copy):
    spoil(copy, lambda content: flipped_bit(content, place))
    result = converters.replay(copy)
    assert not result and result.unexplained_flips > 0
    operators = TfliteFile(copy / "model.tflite").operators
    layers = [i for i, one in enumerate(operators) if one.name == "LceBconv2d"]
    # The next sign after it.
    signs = [i for i, one in enumerate(operators) if one.name == "LceQuantize"]
    expected = next(i for i in signs if i > layers[place])
    assert result.first_mismatch == expected
    assert f"first at operator {expected}" in result.verdict


def test_a_fault_after_the_last_sign_is_seen_in_the_outputs(copy):
    spoil(copy, lambda content: flipped_bit(content, 5))
    result = converters.replay(copy)
    assert not result and result.unexplained_flips == 0
    assert result.output_difference > 1e-4
    assert "given the golden signs, the outputs differ by" in result.verdict


def shifted(folder, model, share):
    """Packages a model, then replaces its file by one with a shifted threshold."""
    norm = model.get_layer("norm")
    images = noise(model, 5)
    inner = tf.keras.Model(model.input, norm.output)
    values = inner.predict(images, verbose=0)
    scale = np.sqrt((values**2).mean())
    place = np.unravel_index(np.abs(values).argmin(), values.shape)
    nearest = values[place]
    start = norm.get_weights()
    contents = []
    # The nearest value lies just on one side of zero, then on the other.
    for side in (1, -1):
        beta = start[1].copy()
        beta[place[-1]] += side * share * scale - nearest
        norm.set_weights([start[0], beta, *start[2:]])
        contents.append(converters.convert(model, inputs=images).content)
    converters.package(
        contents[0], folder, inputs=images, class_names=[str(i) for i in range(512)]
    )
    (folder / "model.tflite").write_bytes(contents[1])
    resign(folder)
    return int(place[0])


def two_layers():
    """The second sign depends on values that the first convolution computes."""
    tf.keras.utils.set_random_seed(0)
    x = inputs = tf.keras.Input((4, 4, 32))
    x = conv(name="first", pad_values=0.0)(x)
    offset = tf.keras.initializers.Constant(0.3)
    x = tf.keras.layers.BatchNormalization(name="norm", beta_initializer=offset)(x)
    x = conv(name="second", pad_values=0.0)(x)
    return tf.keras.Model(inputs, tf.keras.layers.Flatten()(x))


@pytest.mark.parametrize("share, passed", [(2e-6, True), (1e-3, False)])
def test_a_flip_near_zero_is_no_fault_and_another_is(share, passed, tmp_path):
    changed = shifted(tmp_path / "package", two_layers(), share)
    result = converters.replay(tmp_path / "package")
    assert changed in result.mismatched and result.output_difference < 1e-6
    assert result.passed == passed
    if passed:
        assert result.flipped_near_zero >= 1 and result.unexplained_flips == 0
        assert result.mismatched_near_zero == result.mismatched
        assert result.verdict.startswith(
            "no fault: every layer computes the same given equal signs; "
        )
        assert f"{len(result.mismatched)} of 5 answers depend on" in result.verdict
        flips = f"{result.flipped_near_zero} of {result.signs:,}"
        assert f"rounding flipped {flips}" in result.verdict
        assert f"{result.equal_classes} of 5 predictions" in result.verdict
    else:
        assert result.unexplained_flips >= 1 and "a fault" in result.verdict


def golden_with(folder, **changes):
    """Writes other golden arrays; `None` leaves one out."""
    with np.load(folder / "golden.npz") as golden:
        arrays = {**golden, **changes}
    np.savez_compressed(
        folder / "golden.npz", **{k: v for k, v in arrays.items() if v is not None}
    )
    resign(folder)


ZEROS = np.zeros
HOSTILE_ARRAYS = {
    "a scalar margin": ({"margin": np.float64(1)}, "margin has the shape"),
    "a margin of text": ({"margin": np.array(["x"] * 20)}, "margin is of <U1"),
    "a margin of objects": ({"margin": np.array([None] * 20)}, "margin is of object"),
    "no margin": ({"margin": None}, "margin is missing"),
    "other samples": ({"margin": ZEROS(19)}, "samples"),
    "an input of another size": (
        {"input_0": ZEROS((20, 14, 14, 1), np.float32)},
        "input_0 has the shape",
    ),
    "no output": ({"output_0": None}, "output_0 is missing"),
    "an output that is nan": (
        {"output_0": np.full((20, 10), np.nan, np.float32)},
        "output_0 holds NaN",
    ),
    "a gigabyte of zeros": (
        {"input_0": ZEROS((1, 2**20), np.float32)},
        "input_0 has the shape",
    ),
    "complex outputs": ({"output_0": ZEROS((20, 10), complex)}, "is of complex128"),
}


@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_golden_arrays_that_do_not_fit_are_named(name, copy):
    changes, says = HOSTILE_ARRAYS[name]
    golden_with(copy, **changes)
    with pytest.raises(ValueError, match=says) as refusal:
        converters.replay(copy)
    assert "golden.npz of" in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_bomb_is_not_unpacked(copy, monkeypatch):
    """3 GB of zeros are 3 MB in a package; its heading is enough to refuse it."""
    heading = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        heading, {"descr": "<f4", "fortran_order": False, "shape": (3 * 2**28,)}
    )
    with zipfile.ZipFile(copy / "golden.npz", "a") as archive:
        archive.writestr("other.npy", heading.getvalue())
    with np.load(copy / "golden.npz") as golden:
        arrays = {name: golden[name] for name in golden.files if name != "other"}
    with zipfile.ZipFile(copy / "golden.npz", "w") as archive:
        for key, array in arrays.items():
            stream = io.BytesIO()
            np.save(stream, array)
            content = heading.getvalue() if key == "input_0" else stream.getvalue()
            archive.writestr(f"{key}.npy", content)
    resign(copy)
    monkeypatch.setattr(np, "load", None)  # Nothing is unpacked before.
    with pytest.raises(ValueError, match="input_0 has the shape"):
        converters.replay(copy)


HOSTILE_METADATA = {
    "no object": (b"[1, 2]", "holds no object"),
    "no json": (b"{", "is damaged"),
    "no text": (b"\xff\xfe\x00", "is damaged"),
    "deep": (b"[" * 100_000, "is damaged"),
    "no inputs": (b"{}", "inputs is no list"),
    "inputs that are none": (b'{"inputs": null, "outputs": []}', "inputs is no list"),
    "inputs of text": (b'{"inputs": "abc"}', "inputs is no list"),
    "an entry of null": (b'{"inputs": [null]}', "an entry of inputs has no name"),
    "no array": (b'{"inputs": [{"name": "x"}]}', "x of inputs has no array"),
    "an array of numbers": (
        b'{"inputs": [{"name": "x", "array": 3}]}',
        "x of inputs has no array",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_METADATA)
def test_metadata_of_wrong_types_is_one_line(name, copy):
    content, says = HOSTILE_METADATA[name]
    (copy / "metadata.json").write_bytes(content)
    resign(copy)
    with pytest.raises(ValueError, match=says) as refusal:
        converters.replay(copy)
    assert "metadata.json of" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_package_holds_files_alone(copy):
    content = (copy / "golden.npz").read_bytes()
    (copy.parent / "outside").write_bytes(content)
    (copy / "golden.npz").unlink()
    (copy / "golden.npz").symlink_to(copy.parent / "outside")
    with pytest.raises(ValueError, match=r"golden.npz of .* is a link out of the"):
        converters.replay(copy)
    (copy / "golden.npz").unlink()
    os.mkfifo(copy / "golden.npz")
    with pytest.raises(ValueError, match=r"golden.npz of .* is no file"):
        converters.replay(copy)
    (copy / "golden.npz").unlink()
    (copy / "within").write_bytes(content)
    (copy / "golden.npz").symlink_to("within")
    assert converters.replay(copy).passed


def test_margins_and_flipped_signs_by_hand():
    values = np.array([[3.0, -4.0, 0.0, 12.0]], np.float32)
    scale = np.sqrt(169 / 4)
    assert margin(values) == 0
    assert margin(values[:, :2]) == 3 / np.sqrt(12.5)
    # The second is negative; +0 and -0 are not.
    np.testing.assert_array_equal(flipped(values, np.array([[0b0010]], np.int32)), [])
    found = flipped(values, np.array([[0b1100]], np.int32))
    np.testing.assert_allclose(found, np.array([4, 0, 12]) / scale)
    assert margin(1024 * values[:, :2]) == margin(values[:, :2])


def test_a_subgraph_runner_computes_the_same_from_the_files_own_signs(packaged):
    interpreter = Interpreter(packaged / "model.tflite", backend="lce")
    with np.load(packaged / "golden.npz") as golden:
        inputs = [golden["input_0"][:1]]
        runner = SubgraphRunner(interpreter.file, backend="lce")
        signs = runner.signs(inputs)
        values, outputs = runner.run(inputs, signs)
        np.testing.assert_array_equal(outputs[0], golden["output_0"][:1])
        tensors = [interpreter.file.operators[i].inputs[0] for i in runner.operators]
        expected = interpreter.intermediate(inputs, tensors)
        for tensor, array in zip(tensors, values, strict=True):
            np.testing.assert_array_equal(array, expected[tensor])
        # Other signs before a layer change later values.
        other = [~signs[0], *signs[1:]]
        changed, _ = runner.run(inputs, other)
        np.testing.assert_array_equal(changed[0], values[0])
        assert (changed[1] != values[1]).any()


def test_several_inputs_and_outputs_go_by_name(tmp_path):
    tf.keras.utils.set_random_seed(0)
    second, first = (tf.keras.Input((8, 8, 32), name=name) for name in "ba")
    x, y = conv(name="one")(second), conv(name="two")(first)
    model = tf.keras.Model([second, first], [x + 2 * y, conv(name="three")(x)])
    arrays = [
        np.random.default_rng(seed).normal(size=(3, 8, 8, 32)).astype(np.float32)
        for seed in (0, 1)
    ]
    content = converters.convert(model, inputs=arrays).content
    folder = tmp_path / "package"
    converters.package(content, folder, inputs=arrays, model=model)
    described = json.loads((folder / "metadata.json").read_text())
    assert {entry["name"] for entry in described["inputs"]} == {"a", "b"}
    with np.load(folder / "golden.npz") as golden:
        for entry in described["inputs"]:
            array = arrays[("b", "a").index(entry["name"])]
            np.testing.assert_array_equal(golden[entry["array"]], array)
    assert converters.replay(folder).passed
    assert not (folder / "labels.txt").exists()
    by_name = {"a": arrays[1], "b": arrays[0]}
    converters.package(content, tmp_path / "alone", inputs=by_name)
    assert converters.replay(tmp_path / "alone").keras_difference is None


def refused(packaged, tmp_path, error, match, tflite=None, folder="new", **options):
    images = np.load(packaged / "golden.npz")["input_0"]
    with pytest.raises(error, match=match):
        converters.package(
            packaged / "model.tflite" if tflite is None else tflite,
            tmp_path / folder,
            **{"inputs": images, **options},
        )
    assert not (tmp_path / "new").exists()


def test_what_does_not_fit_is_refused_and_nothing_is_written(packaged, tmp_path):
    images = np.load(packaged / "golden.npz")["input_0"]
    args = packaged, tmp_path
    for spoilt in (b"", b"PK\x03\x04 no", (packaged / "model.tflite").read_bytes()[:9]):
        refused(*args, ValueError, "is (not|a damaged)", tflite=spoilt)
    refused(*args, FileNotFoundError, "missing", tflite=tmp_path / "missing.tflite")
    refused(*args, ValueError, r"is \('batch', 28", inputs=images[:, 1:])
    refused(*args, ValueError, "Received: .*uint8", inputs=images.astype(np.uint8))
    refused(*args, ValueError, "at least one", inputs=images[:0])
    refused(*args, ValueError, "needs inputs", inputs=None)
    refused(*args, ValueError, "not finite", inputs=images * np.float32("nan"))
    refused(*args, ValueError, "Received: 2 arrays", inputs=[images, images])
    refused(*args, ValueError, r"The inputs are .*'x'", inputs={"x": images})
    refused(*args, ValueError, "Received: 3 class_names", class_names=["a", "b", "c"])
    refused(*args, ValueError, "lines of text", class_names=["a\nb"] * 10)
    refused(*args, ValueError, "plain data", metadata={"model": object()})
    assert not list(tmp_path.iterdir())


def test_a_full_folder_is_refused_and_an_empty_one_filled(packaged, tmp_path):
    args = packaged, tmp_path
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    refused(*args, FileExistsError, "full is not empty", folder="full")
    refused(*args, FileExistsError, "mine is a file", folder="full/mine")
    refused(*args, converters.ConversionError, "does not exist", folder="no/where")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    images = np.load(packaged / "golden.npz")["input_0"]
    tflite = packaged / "model.tflite"
    assert converters.package(tflite, tmp_path / "empty", inputs=images).is_dir()
    assert converters.replay(tmp_path / "empty").passed


def test_a_disk_that_fails_leaves_nothing(packaged, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    says = r"new cannot be written: .*No space left on device: .*model.tflite"
    refused(packaged, tmp_path, converters.ConversionError, says)
    assert not list(tmp_path.iterdir())


def test_another_model_is_refused(packaged, trained, tmp_path):
    model, *_ = trained
    other = tf.keras.models.clone_model(model)
    args = packaged, tmp_path
    refused(*args, converters.ConversionError, "so no package was", model=other)
    refused(*args, ValueError, "of model is .*4, 4, 32", model=two_layers())
    assert not list(tmp_path.iterdir())


def mean_of(x):
    return tf.keras.layers.GlobalAveragePooling2D()(x)


# Outputs without an axis for the batch, and others that are no scores, with the shape
# that one sample of each has.
ENDS = {
    "a number": (lambda x: tf.reduce_sum(x), [()]),
    "a number first": (lambda x: [tf.reduce_mean(x), mean_of(x)], [(), (32,)]),
    "columns": (lambda x: tf.transpose(mean_of(x)), [(32, 1)]),
    "columns first": (lambda x: [tf.transpose(mean_of(x)), x], [(32, 1), (8, 8, 32)]),
    "a table": (lambda x: tf.zeros((3, 4)) + tf.reduce_sum(x), [(3, 4)]),
    "one row": (lambda x: tf.zeros((1, 4)) + tf.reduce_sum(x), [(4,)]),
    "a shape": (lambda x: [mean_of(x), tf.shape(x)], [(32,), (4,)]),
    "a list": (lambda x: tf.reduce_mean(x, [1, 2, 3]), [()]),
    "the only class": (lambda x: tf.unique(tf.argmax(mean_of(x), -1))[0], [()]),
    "booleans": (lambda x: [x > 0.0, tf.argmax(x, -1)], [(8, 8, 32), (8, 8)]),
    "unstacked": (lambda x: tf.reshape(x, [-1, 32]), [(64, 32)]),
}


def ending(end):
    tf.keras.utils.set_random_seed(0)
    inputs = tf.keras.Input((8, 8, 4))
    outputs = end(tf.keras.layers.BatchNormalization()(conv()(inputs)))
    return tf.keras.Model(inputs, outputs)


@pytest.mark.parametrize("with_model", [True, False], ids=["keras", "file"])
@pytest.mark.parametrize("end, shapes", ENDS.values(), ids=ENDS)
def test_outputs_of_every_shape_are_replayed(end, shapes, with_model, tmp_path):
    model = ending(end)
    inputs = noise(model, 3)
    conversion = converters.convert(model, inputs=None)
    folder = converters.package(
        conversion,
        tmp_path / "device",
        inputs=inputs,
        model=model if with_model else None,
    )
    with np.load(folder / "golden.npz") as golden:
        alone = [model(inputs[i : i + 1], training=False) for i in range(3)]
        for index, shape in enumerate(shapes):
            expected = np.stack(
                [np.reshape(tf.nest.flatten(one)[index], shape) for one in alone]
            )
            for side in ("output", "keras")[: 1 + with_model]:
                found = golden[f"{side}_{index}"]
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert converters.replay(folder).passed


@pytest.mark.parametrize(
    "end",
    [
        lambda x: [mean_of(x), tf.where(x > 0)],
        lambda x: tf.boolean_mask(mean_of(x), mean_of(x)[:, 0] > 1e6),
        lambda x: tf.unique(tf.reshape(x, [-1]))[0],
    ],
    ids=["where", "mask", "unique"],
)
def test_an_output_of_many_sizes_is_no_golden_one(end, tmp_path):
    model = ending(end)
    conversion = converters.convert(model, inputs=None)
    with pytest.raises(ValueError, match=r"arrays of one size\. Leave the output"):
        converters.package(conversion, tmp_path / "device", inputs=noise(model, 3))
    assert not list(tmp_path.iterdir())
