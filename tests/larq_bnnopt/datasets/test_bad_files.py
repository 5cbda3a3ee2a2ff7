"""Checks of image and record files, which name bad ones before a training."""

import builtins
import os
import pathlib
import socket
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.datasets import checking
from larq_bnnopt.datasets.records import write_records

PIXELS = np.random.default_rng(0).integers(0, 255, (8, 6, 3), np.uint8)
PNG = tf.io.encode_png(PIXELS).numpy()
JPEG = tf.io.encode_jpeg(PIXELS, quality=100).numpy()


def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(width, height, depth=8, colour=2, rows=None):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows or b""))
        + chunk(b"IEND", b"")
    )


def bmp(palette=None, bits=8):
    """Two rows of four pixels, each the number of a colour or the colour itself."""
    if palette is None:
        palette = b"".join(bytes([i, i, i, 0]) for i in range(256))
    pixels = bytes([10, 20, 30, 40] * 2) if bits == 8 else bytes(range(24))
    start = 54 + (len(palette) if bits == 8 else 0)
    info = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, bits, 0, 0, 0, 0, 0, 0)
    head = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
    return head + info + (palette if bits == 8 else b"") + pixels


def gif(frames):
    """Frames of one pixel, the k-th of the colour (k, k, k)."""
    colours = b"".join(bytes([i] * 3) for i in range(4))
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x81, 0, 0) + colours
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
    # Codes of 3 bits: clear, the colour, end.
    pictures = [
        image + b"\x02\x02" + struct.pack("<H", 4 | k << 3 | 5 << 6) + b"\0"
        for k in range(frames)
    ]
    return head + b"".join(pictures) + b"\x3b"


GRADIENT = b"".join(b"\0" + bytes(row.reshape(-1)) for row in PIXELS)


@pytest.mark.parametrize(
    "content, channels, problem",
    [
        (PNG, 3, None),
        (JPEG, 3, None),
        (PNG, 1, None),
        (png(6, 8, rows=GRADIENT), 3, None),
        (png(1, 1, rows=b"\0abc"), 3, None),
        # 16 bits of each channel.
        (png(1, 1, 16, 2, b"\0" + bytes(6)), 3, None),
        (png(1, 1, 1, 0, b"\0\0"), 3, None),
        (gif(3), 3, None),
        (gif(3), 1, None),
        (bmp(), 3, None),
        (bmp(bits=24), 3, None),
        (bmp(bits=24), 1, None),
        (b"", 3, "is empty"),
        (b"no image", 3, "is no JPEG, PNG, GIF or BMP image"),
        (b"RIFF....WEBPVP8 ", 3, "is a WebP image"),
        (b"II*\0........", 3, "is a TIFF image"),
        (b"<svg/>", 3, "such as SVG"),
        (PNG[:-20], 3, "is damaged"),
        (PNG[:20], 3, "is damaged"),
        (PNG[:60] + b"\x55" + PNG[61:], 3, "is damaged"),
        (JPEG[:-40], 3, "is damaged"),
        (JPEG[:8], 3, "is damaged"),
        (gif(1)[:-6], 3, "is damaged"),
        (bmp()[:-3], 3, "is damaged"),
        (png(0, 5), 3, "is damaged"),
        (png(20_000, 20_000), 3, "declares 20000 x 20000 pixels"),
        (png(2**31 - 1, 2**31 - 1), 3, "declares 2147483647 x 2147483647"),
        (b"GIF89a\xff\xff\xff\xff" + bytes(9), 3, "declares 65535 x 65535"),
        (bmp(b"\0\0\xff\0" * 256), 3, "a palette, whose colors TensorFlow ignores"),
    ],
)
def test_the_problem_of_an_image_is_named(content, channels, problem):
    found = checking.image_problem(content, channels)
    if problem is None:
        assert found is None
        assert checking.decoded(content, channels).shape[-1] == channels
    else:
        assert problem in found and "{{" not in found and "\n" not in found


def test_an_animation_is_decoded_to_its_first_picture():
    assert checking.decoded(gif(3), 3).numpy().tolist() == [[[0, 0, 0]]]
    grey = checking.decoded(bmp(), 1).numpy()[..., 0].tolist()
    assert grey == [[10, 20, 30, 40]] * 2


@pytest.fixture
def folder(tmp_path):
    """Two classes of twenty images each, one of them in capital letters."""
    for name in ("cats", "dögs"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(20):
            suffix = "PNG" if index == 3 else "png"
            (tmp_path / "set" / name / f"{index}.{suffix}").write_bytes(PNG)
    return tmp_path / "set"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def load(folder):
    return datasets.load(str(folder), batch_size=8, image_shape=(8, 8, 3))


def test_good_images_are_checked_once(folder, monkeypatch):
    calls = []
    load(folder).check(lambda done, total: calls.append((done, total)))
    assert calls == [(40, 40)]
    load(folder).check(lambda done, total: calls.append((done, total)))
    assert len(calls) == 1
    # One that changed is looked at again, though it is as large as before.
    changed = folder / "cats" / "5.png"
    changed.write_bytes(PNG[:60] + b"\x55" + PNG[61:])
    with pytest.raises(ValueError, match=r"1 of the 40 images .*/cats/5\.png is damag"):
        load(folder).check()
    # What is bad stays so.
    with pytest.raises(ValueError, match=r"cats/5\.png"):
        load(folder).check()
    changed.write_bytes(PNG)
    load(folder).check()
    # In a home that cannot be written to, all are looked at each time.
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    for _ in range(2):
        load(folder).check(lambda done, total: calls.append((done, total)))
    assert len(calls) == 3


def test_bad_images_are_counted_and_the_first_named(folder):
    for index in range(7):
        (folder / "cats" / f"{index + 4}.png").write_bytes(b"text")
    with pytest.raises(ValueError) as error:
        load(folder).check()
    text = str(error.value)
    assert text.startswith("7 of the 40 images of") and "and 2 more. Replace" in text
    assert text.count(".png is no JPEG") == 5


def test_files_that_cannot_be_opened_are_named(folder, monkeypatch):
    data, closed = load(folder), folder / "cats" / "7.png"
    real = builtins.open

    def refuse(path, *arguments, **keywords):
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **keywords)

    # The tests may run as root, who may open everything.
    monkeypatch.setattr(pathlib.Path, "open", refuse)
    monkeypatch.setattr("io.open", refuse)
    with pytest.raises(ValueError, match=r"7\.png cannot be opened \(Permission"):
        data.check()


def listen(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.fspath(path))


@pytest.mark.parametrize(
    "make, what",
    [
        (os.mkfifo, "a pipe"),
        (listen, "a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
    ],
)
def test_pipes_and_devices_are_named_and_do_not_hang(make, what, folder, monkeypatch):
    monkeypatch.chdir(folder / "cats")  # The path of a socket is short.
    make(pathlib.Path("x.png"))
    with pytest.raises(ValueError, match=rf"x\.png is {what}"):
        load(folder)


def test_unusual_images_are_accepted(folder):
    """Folders called like images, names in no UTF-8, and what macOS leaves."""
    (folder / "cats" / "more.png").mkdir()
    (folder / "cats" / "more.png" / "1.jpeg").write_bytes(JPEG)
    (folder / "cats" / "._0.png").write_bytes(b"of macOS")
    (folder / "cats" / ".thumbnails").mkdir()
    (folder / "cats" / ".thumbnails" / "0.png").write_bytes(b"of a file manager")
    (folder / "cats" / "猫 [1] $x$.png").write_bytes(PNG)
    latin = os.fsencode(folder) + b"/h\xfchner"
    os.mkdir(latin)
    for index in range(20):
        with open(latin + b"/\xe4%d.png" % index, "wb") as file:
            file.write(PNG)
    os.symlink(folder / "cats" / "0.png", folder / "cats" / "link.png")
    data = load(folder)
    data.check()
    assert data.train_size + data.test_size == 63
    assert data.class_names == ("cats", "dögs", "h\\udcfchner")
    images, labels = data.test_arrays()
    assert set(labels) == {0, 1, 2} and np.isfinite(images).all()
    assert len(data.fingerprint) == 64


def test_unused_images_are_reported(folder):
    (folder / "stray.jpg").write_bytes(JPEG)
    (folder / "cats" / "new.webp").write_bytes(b"RIFF....WEBP")
    (folder / "notes.txt").write_text("no image")
    with pytest.warns(UserWarning, match=r"^2 images of .* are not used, such as"):
        load(folder).check()


def test_a_class_without_images_and_names_with_line_breaks_are_refused(folder):
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no image"):
        load(folder)
    (folder / "empty").rmdir()
    (folder / "cats").rename(folder / "ca\nts")
    with pytest.raises(ValueError, match="line break"):
        load(folder)


def test_an_image_that_changes_later_is_named(folder):
    data = load(folder)
    data.check()
    broken = next(path for path in sorted(folder.rglob("*.png")))
    for path in folder.rglob("*.png"):
        path.write_bytes(PNG[:-20])
    with pytest.raises(ValueError, match=f"{broken.name} is damaged"):
        data.test_arrays()


def integer(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value))


def text(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def floats(value):
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


def example(image, label):
    features = {}
    if image is not None:
        features["image/encoded"] = image
    if label is not None:
        features["image/class/label"] = label
    content = tf.train.Features(feature=features)
    return tf.train.Example(features=content).SerializeToString(deterministic=True)


@pytest.fixture
def records(folder, tmp_path):
    return write_records(folder, tmp_path / "records", images_per_file=10)


def test_no_bad_image_is_written_into_records(folder, tmp_path):
    (folder / "cats" / "5.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"5\.png is no JPEG"):
        write_records(folder, tmp_path / "records")
    assert not (tmp_path / "records").exists()


def append(path, *contents):
    old = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in (*old, *contents):
            writer.write(content)


def test_good_records_are_checked_once(records):
    calls = []
    for _ in range(2):
        load(records).check(lambda done, total: calls.append((done, total)))
    assert calls == [(40, 40)]


@pytest.mark.parametrize(
    "record, message",
    [
        (example(text(PNG), integer([99])), r"has the label 99, and labels\.txt has 2"),
        (example(text(PNG), integer([2])), "has the label 2"),
        (example(text(PNG), integer([-1])), "has the label -1"),
        (example(text(PNG), floats(1.0)), "has a float as 'image/class/label'"),
        (example(text(PNG), text(b"1")), "Received: 1 and 0 of them"),
        (example(text(PNG), integer([0, 1])), "Received: 1 and 2 of them"),
        (example(text(PNG, PNG), integer([0])), "Received: 2 and 1 of them"),
        (example(None, integer([0])), "needs the features 'image/encoded'"),
        (example(text(PNG), None), "needs the features"),
        (example(text(b""), integer([0])), "is empty"),
        (example(text(PNG[:-20]), integer([0])), "is damaged"),
        (example(text(b"text"), integer([0])), "is no JPEG"),
        (b"", "needs the features"),
        (b"\xff\xff", r"holds no tf\.train\.Example"),
    ],
)
def test_a_bad_record_is_named(record, message, records):
    path = sorted(records.glob("train*"))[-1]
    number = sum(1 for _ in tf.data.TFRecordDataset(str(path))) + 1
    append(path, record)
    with pytest.raises(ValueError, match=rf"{path.name}, record {number}, .*{message}"):
        load(records).check()


def test_damage_of_a_file_is_named(records):
    path = sorted(records.glob("train*"))[0]
    content = bytearray(path.read_bytes())
    length = 16 + struct.unpack("<Q", content[:8])[0]
    content[length + 20] ^= 1  # In the second record.
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name}, record 2, and all after it"):
        load(records).check()


def test_records_that_are_no_file_or_compressed_are_named(records):
    path = sorted(records.glob("train*"))[0]
    content = path.read_bytes()
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        writer.write(content)
    with pytest.raises(ValueError, match="is compressed; write it uncompressed"):
        load(records)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is no file"):
        load(records)
