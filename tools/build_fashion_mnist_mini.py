#!/usr/bin/env python3
"""Rebuilds the embedded sample of Fashion-MNIST, bit for bit.

    python tools/build_fashion_mnist_mini.py FOLDER [--output FILE]

FOLDER holds the four official files, as <https://github.com/zalandoresearch/fashion-mnist>
or Debian's package dataset-fashion-mnist carry them:

    train-images-idx3-ubyte.gz  train-labels-idx1-ubyte.gz
    t10k-images-idx3-ubyte.gz   t10k-labels-idx1-ubyte.gz

The sample is the first 600 training and the first 100 test images of each class, in the
order of the files, in an archive that numpy.load reads. Its members are compressed by
bzip2, whose output does not vary with the version of the library.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import pathlib
import sys
import zipfile

import numpy as np

SHA256 = "bb4e77c646db44788a55b3590350494713b83326a0c3fee16457e4b2756c01e8"
OUTPUT = (
    pathlib.Path(__file__).parent.parent
    / "larq_bnnopt/datasets/data/fashion_mnist_mini.npz"
)
# Name in the archive, prefix of the official files, images of each class.
SPLITS = (("train", "train", 600), ("test", "t10k", 100))


def read_idx(path: pathlib.Path) -> np.ndarray:
    """Reads an array of bytes in MNIST's idx format."""
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, ">u4", rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def sample(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of the sample by name."""
    arrays = {}
    for name, prefix, count in SPLITS:
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
        first = [np.flatnonzero(labels == label)[:count] for label in range(10)]
        chosen = np.sort(np.concatenate(first))
        arrays[f"x_{name}"] = images[chosen]
        arrays[f"y_{name}"] = labels[chosen]
    return arrays


def archive(arrays: dict[str, np.ndarray]) -> bytes:
    """Packs arrays as an .npz file whose bytes depend on the arrays alone."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0))
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            file.writestr(info, member.getvalue(), zipfile.ZIP_BZIP2, compresslevel=9)
    return packed.getvalue()


def main() -> int:
    """Builds the archive and compares it with the one that the package carries."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT)
    arguments = parser.parse_args()
    content = archive(sample(arguments.folder))
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        print(f"sha256 {digest}, expected {SHA256}: nothing written", file=sys.stderr)
        return 1
    arguments.output.write_bytes(content)
    print(f"{arguments.output}: {len(content)} bytes, sha256 as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
