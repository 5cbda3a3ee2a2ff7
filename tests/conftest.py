"""What every test needs: no GPU, little noise, a fixed start."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pytest

import larq_bnnopt  # noqa: F401  (chooses Keras 2)

import tensorflow as tf  # isort: skip
from tensorflow.python.framework.ops import gradient_registry  # isort: skip

# A second logical CPU, for tf.distribute; before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


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
    if request.node.get_closest_marker("slow"):
        for name in set(gradient_registry.list()) - known:
            del gradient_registry._registry[name]
        gc.collect()


@pytest.fixture
def two_replicas():
    """A strategy over two logical CPUs.

    It reduces without collective operations, which in one process do not survive a
    second strategy.
    """
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
