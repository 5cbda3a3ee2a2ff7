"""What every test needs: no GPU, little noise, a fixed start."""

import fcntl
import gc
import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pytest

from larq_bnnopt import recipes  # before tf.keras: it chooses Keras 2

import tensorflow as tf  # isort: skip
from tensorflow.python.framework.ops import gradient_registry  # isort: skip

# A second logical CPU, for tf.distribute; before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


def pytest_collection_finish():
    """Garbage is looked for less often, and not among what was imported.

    Python would spend a fifth of each trace on it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True)
def _seed():
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _forget_gradients(request):
    """Lets models of slow tests go, which are large.

    TensorFlow registers the gradient of each trace of a quantizer for good, and with it
    the graph and the weights.
    """
    known = set(gradient_registry.list())
    yield
    for name in set(gradient_registry.list()) - known:
        del gradient_registry._registry[name]
    if request.node.get_closest_marker("slow"):
        gc.collect()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Fills a folder once for all processes of a test run: `made_once(name, fill)`.

    The first process that asks fills it, the others wait. Tests change copies of it.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def once(name, fill):
        folder, done = shared / f"made-{name}", shared / f"made-{name}.done"
        with open(shared / f"made-{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def one_epoch(made_once):
    """The quickstart's network after an epoch on real images, as a run."""
    recipe = recipes.OneStep(epochs=1, batch_size=100)
    folder = made_once("one_epoch", lambda at: recipes.train(recipe, at / "run"))
    return recipes.Run(folder / "run")


@pytest.fixture
def two_replicas():
    """A strategy over two logical CPUs.

    It reduces without collective operations, which in one process do not survive a
    second strategy.
    """
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
