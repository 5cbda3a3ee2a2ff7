"""A few real images, so that whole trainings take seconds."""

import os
import socket

import numpy as np
import pytest
import tensorflow as tf

from larq_bnnopt import datasets


@pytest.fixture(scope="session")
def images(made_once):
    """Sixty images of each of three classes of Fashion-MNIST, as files."""

    def fill(folder):
        pictures, labels = datasets.load("fashion_mnist_mini").test_arrays()
        for label, name in ((1, "trousers"), (7, "sneakers"), (8, "bags")):
            (folder / name).mkdir()
            for index, picture in enumerate(pictures[labels == label][:60]):
                pixels = tf.cast(np.round((picture + 1) * 127.5), tf.uint8)
                content = tf.io.encode_png(pixels).numpy()
                (folder / name / f"{index}.png").write_bytes(content)

    return str(made_once("images", fill))


@pytest.fixture
def two_addresses():
    """Returns addresses with free ports, for two processes that train together."""

    def find():
        ports = []
        for _ in range(2):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                ports.append(free.getsockname()[1])
        return [f"127.0.0.1:{port}" for port in ports]

    return find


@pytest.fixture(scope="session", autouse=True)
def _no_cache_of_the_user(tmp_path_factory):
    """What was found good in a test is not remembered for the user."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before
