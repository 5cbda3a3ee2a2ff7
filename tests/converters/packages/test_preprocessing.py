"""A photograph becomes the input that the test images of a run became."""

import importlib.util
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import converters
from converters import Classifier, Preprocessing
from converters.packages.preprocessing import decode_by_pillow, decode_by_tensorflow
from larq_bnnopt.datasets.crops import CENTER, Crops


def photograph(height, width, channels=3, seed=0):
    """Soft blots with a little noise, uint8."""
    generator = np.random.default_rng(seed)
    coarse = generator.random((max(1, height // 8), max(1, width // 8), channels))
    soft = tf.image.resize(coarse, (height, width)).numpy() * 255
    noisy = soft + generator.normal(0, 5, soft.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def encoded(pixels, kind="PNG", mode=None, **options):
    image = PIL.Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    content = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(content, kind, **options)
    return content.getvalue()


SIZES = [(1, 1), (2, 3), (9, 400), (400, 9), (32, 48), (37, 55), (55, 83), (301, 200)]


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_what_the_data_sets_do(height, width, channels):
    content = encoded(photograph(height, width, channels))
    test = Crops((32, 48), channels).center
    (expected,) = tf.data.Dataset.from_tensors(content).map(test)
    ours = Preprocessing((32, 48), channels, CENTER)(
        decode_by_pillow(content, channels)
    )
    assert ours.shape == (32, 48, channels) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected / 127.5 - 1, rtol=0, atol=3e-5)


def test_the_middle_is_the_same_to_the_pixel_at_every_size():
    sides = [*range(1, 120), 223, 224, 225, 255, 256, 257, 511, 512, 1023, 4000]
    for aim in ((224, 224), (28, 28), (96, 128)):
        ours = Preprocessing(aim, 3, CENTER)
        shapes = np.array([(a, b) for a in sides for b in (a, 7, 224, 256, 640)])
        given = tf.cast(shapes, tf.float32)
        share = tf.reduce_min(given / tf.constant(aim, tf.float32), axis=1)
        extents = tf.cast(CENTER * share[:, None] * aim, tf.int32)
        expected = np.maximum(extents.numpy(), 1)
        for shape, (rows, columns) in zip(shapes.tolist(), expected):
            part = ours._middle((*shape, 3))
            assert [s.stop - s.start for s in part] == [rows, columns]
            assert [s.start for s in part] == [
                (shape[0] - rows) // 2,
                (shape[1] - columns) // 2,
            ]


def test_an_image_of_that_size_stays_as_it_is():
    pixels = photograph(28, 28, 1)
    expected = pixels.astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(Preprocessing((28, 28), 1)(pixels), expected, atol=1e-6)


def test_means_of_halves_by_hand():
    column = np.array([0, 0, 0, 255, 255, 255], np.uint8).reshape(6, 1, 1)
    square = Preprocessing((2, 1), 1, scale=1 / 255, offset=0.0)
    # Around 1.5 triangles of half width 3 weigh the rows 2/3, 1, 2/3, 1/3, 0: an
    # eighth is white.
    ours = square(np.repeat(column, 3, axis=1))
    np.testing.assert_allclose(ours.ravel(), [1 / 8, 7 / 8], atol=1e-6)


KINDS = {
    "jpeg": encoded(photograph(61, 83), "JPEG", quality=90),
    "jpeg, colours halved": encoded(photograph(61, 83), "JPEG", subsampling=2),
    "progressive jpeg": encoded(photograph(61, 83), "JPEG", progressive=True),
    "grey jpeg": encoded(photograph(61, 83, 1), "JPEG"),
    "png": encoded(photograph(61, 83)),
    "grey png": encoded(photograph(61, 83, 1)),
    "png with alpha": encoded(photograph(61, 83, 4)),
    "grey png with alpha": encoded(photograph(61, 83, 2)),
    "png of a palette": encoded(photograph(61, 83), mode="P"),
    "png of 1 bit": encoded(photograph(61, 83), mode="1"),
    "gif": encoded(photograph(61, 83), "GIF"),
    "bmp": encoded(photograph(61, 83), "BMP"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_both_decoders_give_the_same_pixels(kind, channels):
    ours = decode_by_pillow(KINDS[kind], channels)
    assert ours.shape == (61, 83, channels) and ours.dtype == np.uint8
    if channels == 1 and kind in ("gif", "bmp"):
        return  # TensorFlow does not make them grey.
    np.testing.assert_array_equal(ours, decode_by_tensorflow(KINDS[kind], channels))


def test_of_16_bits_the_upper_ones_are_kept():
    image = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    content = io.BytesIO()
    PIL.Image.fromarray(image).save(content, "PNG")
    for channels in (1, 3):
        ours = decode_by_pillow(content.getvalue(), channels)
        np.testing.assert_array_equal(ours[..., 0].ravel(), np.arange(256))
        assert (ours == decode_by_tensorflow(content.getvalue(), channels)).all()


def test_a_rotation_that_a_camera_noted_is_not_applied():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    content = encoded(photograph(40, 60), "JPEG", exif=exif)
    assert (
        decode_by_pillow(content, 3).shape
        == decode_by_tensorflow(content, 3).shape
        == (40, 60, 3)
    )


BROKEN = {
    "empty": b"",
    "text": b"not an image",
    "half a png": KINDS["png"][:400],
    "half a jpeg": KINDS["jpeg"][:200],
    "a wrong sum": KINDS["png"][:100] + b"\0\0\0\0" + KINDS["png"][104:],
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_image_is_one_line(name, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(BROKEN[name])
    for decode in (decode_by_pillow, decode_by_tensorflow):
        with pytest.raises(ValueError, match=r"x\.png is no ") as error:
            Preprocessing((8, 8), 3).of_file(path, decode)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "array, match",
    [
        (np.zeros((4, 4, 4), np.uint8), "has 4 channels; the model takes 3 channels"),
        (np.zeros((4, 4), np.uint8), "has 1 channel; the model takes 3 channels"),
        (np.zeros((4, 4, 3)), r"has shape \(4, 4, 3\) and type float64; give uint8"),
        (np.zeros((2, 4, 4, 3), np.uint8), "an image is uint8"),
        (np.zeros((4, 4, 3), np.int64), "type int64; an image is uint8"),
        (np.zeros((0, 4, 3), np.uint8), "has no pixel"),
        (np.full((8, 8, 3), np.nan, np.float32), "not finite"),
        (np.array("text"), "an image is uint8"),
    ],
)
def test_an_array_that_is_no_image_is_refused(array, match, tmp_path):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ValueError, match=rf"x\.npy .*{match}"):
        Preprocessing((8, 8), 3).of_file(tmp_path / "x.npy")


def test_arrays_are_taken_as_pixels_or_as_they_are(tmp_path):
    preprocessing = Preprocessing((8, 8), 3)
    pixels = photograph(20, 30)
    np.save(tmp_path / "pixels.npy", pixels)
    ours = preprocessing.of_file(tmp_path / "pixels.npy")
    np.testing.assert_array_equal(ours, preprocessing(pixels))
    np.save(tmp_path / "input.npy", ours)
    np.testing.assert_array_equal(preprocessing.of_file(tmp_path / "input.npy"), ours)
    (tmp_path / "objects.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"objects\.npy is no array of NumPy"):
        preprocessing.of_file(tmp_path / "objects.npy")
    with pytest.raises(FileNotFoundError, match=r"none\.png does not exist"):
        preprocessing.of_file(tmp_path / "none.png")
    with pytest.raises(ValueError, match="is no file"):
        preprocessing.of_file(tmp_path)


@pytest.mark.parametrize(
    "options, match",
    [
        ({"size": (0, 4)}, "size is"),
        ({"size": (4, 4, 3)}, "size is"),
        ({"channels": 4}, "channels must be 1 or 3"),
        ({"middle": 0.0}, "middle must be in"),
        ({"middle": 1.5}, "middle must be in"),
        ({"scale": float("inf")}, "must be finite"),
    ],
)
def test_what_is_no_preprocessing_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        Preprocessing(**{"size": (4, 4), "channels": 3, **options})


def test_it_is_written_down_and_read_back():
    one = Preprocessing((224, 192), 3, 0.875, 1 / 255, 0.0)
    assert Preprocessing.of(json.loads(json.dumps(one.as_dict()))) == one
    assert one.words() == (
        "RGB, 0.875 of the middle, resized to 224x192, float32 pixel / 255"
    )
    assert Preprocessing((4, 4), 1).numbers == "pixel / 127.5 - 1"
    assert Preprocessing((4, 4), 1, scale=1.0, offset=-128.0).numbers == "pixel - 128"
    for facts in ({}, {**one.as_dict(), "height": "tall"}, {"height": None}):
        with pytest.raises(ValueError):
            Preprocessing.of(facts)


@pytest.fixture(scope="module")
def packaged(trained, tmp_path_factory):
    model, images, _ = trained
    folder = tmp_path_factory.mktemp("packages") / "device"
    converters.package(
        converters.convert(model, inputs=images[:40]),
        folder,
        inputs=images[:8],
        model=model,
        class_names=[f"class {index}" for index in range(10)],
        preprocessing=Preprocessing((28, 28), 1, CENTER),
    )
    return folder


def test_a_package_predicts_what_the_run_would(packaged, trained, tmp_path):
    model, *_ = trained
    classifier = Classifier.of_package(packaged)
    test = Crops((28, 28), 1).center
    for index, kind in enumerate(["PNG", "JPEG"] * 6):
        content = encoded(photograph(20 + 9 * index, 90, 3, seed=index), kind)
        path = tmp_path / f"{index}.{kind.lower()}"
        path.write_bytes(content)
        expected = model(test(tf.constant(content))[None] / 127.5 - 1).numpy()[0]
        found = classifier.predict(path, top=10)
        order = np.argsort(-expected)
        assert found.classes == tuple(f"class {place}" for place in order)
        np.testing.assert_allclose(found.scores, expected[order], atol=1e-4)
        assert found.milliseconds > 0


def on_a_board(program, cwd):
    """Runs a program where Keras and larq are not, and TensorFlow if it can."""
    missing = ["larq", "rich"]
    if importlib.util.find_spec("ai_edge_litert"):
        missing.append("tensorflow")
    refuse = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {missing}:\n"
        "            raise ImportError(f'No module named {name!r}')\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    return subprocess.run(
        [sys.executable, "-c", refuse + program],
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def program_of(packaged):
    page = (packaged / "README.md").read_text()
    return page, page.split("```python\n")[1].split("```")[0]


def test_the_readme_tells_it_and_its_program_runs(packaged, tmp_path):
    folder = tmp_path / "device"
    shutil.copytree(packaged, folder)
    page, program = program_of(folder)
    for line in (
        "s = 0.875 * min(H / 28, W / 28)",
        "pixel / 127.5 - 1, float32",
        "bnnopt predict . photo.jpg",
    ):
        assert line in page
    (folder / "photo.jpg").write_bytes(encoded(photograph(99, 70), "JPEG"))
    run = on_a_board(program, folder)
    expected = Classifier.of_package(folder).predict(folder / "photo.jpg", top=3)
    pairs = zip(expected.classes, expected.scores)
    assert run.stdout.splitlines() == [f"{name}: {s:.1%}" for name, s in pairs], (
        run.stderr
    )
    content = json.loads((folder / "metadata.json").read_text())
    assert content["image"]["middle"] == 0.875
    assert content["preprocessing"].startswith("grey, 0.875 of the middle")


def test_without_class_names_the_readme_shows_the_input(packaged, images, tmp_path):
    converters.package(
        packaged / "model.tflite",
        tmp_path / "device",
        inputs=images[:2],
        preprocessing=Preprocessing((28, 28), 1),
    )
    _, program = program_of(tmp_path / "device")
    (tmp_path / "device" / "photo.jpg").write_bytes(KINDS["jpeg"])
    run = on_a_board(program, tmp_path / "device")
    assert run.stdout.count("[[") == 1, run.stderr
    with pytest.raises(ValueError, match="packaged without class_names"):
        Classifier.of_package(tmp_path / "device")


def test_a_preprocessing_that_does_not_fit_is_refused(packaged, images, tmp_path):
    with pytest.raises(ValueError, match=r"makes inputs of \(32, 32, 3\), and the"):
        converters.package(
            packaged / "model.tflite",
            tmp_path / "device",
            inputs=images[:2],
            preprocessing=Preprocessing((32, 32), 3),
        )
    assert not (tmp_path / "device").exists()
