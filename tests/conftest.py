"""What every test needs: no GPU, little noise, a fixed start."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pytest

import larq_bnnopt  # noqa: F401  (chooses Keras 2)

import tensorflow as tf  # isort: skip

# A second logical CPU, for tf.distribute; before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(autouse=True)
def _seed():
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(0)


@pytest.fixture
def two_replicas():
    """A strategy over two logical CPUs.

    It reduces without collective operations, which in one process do not survive a
    second strategy.
    """
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
