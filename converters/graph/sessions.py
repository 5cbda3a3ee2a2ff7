"""Graphs as TensorFlow runs them, whole batches or sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef

from converters.model_arrays import filled_up

Run = Callable[[Mapping[str, np.ndarray], Sequence[str]], list[np.ndarray]]

# As few tell parts of samples that stand in another order.
_ORDERED_SAMPLES = 3
_ROUNDING = 1e-3
_FEW_DIFFERENT = 0.1


class Imported:
    """A graph in TensorFlow, and the session that runs it.

    Args:
        graph_def: The nodes.

    Attributes:
        graph: The `tf.Graph`.
    """

    def __init__(self, graph_def: GraphDef):
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.graph_util.import_graph_def(graph_def, name="")
        self._session: tf.compat.v1.Session | None = None

    @property
    def session(self) -> tf.compat.v1.Session:
        """A session that computes each operation as it stands.

        TensorFlow otherwise multiplies scales into the kernels before them, which makes
        sums of +a and -a, near zero but for rounding, of exact ones of +1 and -1:
        another network than Keras's. And on processors without AVX-512 it joins grouped
        convolutions with their batch normalization, and then reports that it cannot
        compute that.
        """
        if self._session is None:
            config = tf.compat.v1.ConfigProto()
            config.graph_options.rewrite_options.disable_meta_optimizer = True
            self._session = tf.compat.v1.Session(graph=self.graph, config=config)
        return self._session

    def run(
        self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]
    ) -> list[np.ndarray]:
        """Computes tensors.

        Args:
            feeds: Arrays by the names of tensors. A scalar is an array of one number.
            fetches: Names of the tensors to compute.
        """
        given = {}
        for name, array in feeds.items():
            shape = self.graph.get_tensor_by_name(name).shape
            given[name] = array.reshape(shape) if shape.rank == 0 else array
        return self.session.run(list(fetches), given)


def one_by_one(
    run: Run,
    feeds: Mapping[str, np.ndarray],
    fetches: Sequence[str],
    samples: int,
    shapes: Mapping[str, tuple[int, ...]],
) -> list[np.ndarray]:
    """Runs samples one at a time and joins what is fetched.

    Args:
        run: Runs a batch.
        feeds: Arrays by the names of tensors; one of the inside may hold several rows
            of a sample.
        fetches: Names of the tensors to compute.
        samples: How many there are.
        shapes: Of tensors without an axis for the batch, the shapes that their values
            are filled up to.
    """
    parts = []
    for one in range(samples):
        given = {
            name: array[one * len(array) // samples : (one + 1) * len(array) // samples]
            for name, array in feeds.items()
        }
        parts.append(
            [
                filled_up(array, shapes[name])[None]
                if name in shapes
                else np.atleast_1d(array)
                for name, array in zip(fetches, run(given, fetches))
            ]
        )
    return [np.concatenate(arrays) for arrays in zip(*parts)]


def differs_in_batches(
    run: Run, alone: Run, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]
) -> bool:
    """Whether a batch holds other values than its samples, one by one.

    Args:
        run: Runs a batch.
        alone: Runs its samples one at a time.
        feeds: The inputs, of which the first few samples are taken.
        fetches: Names of the tensors to compare.
    """
    few = {name: array[:_ORDERED_SAMPLES] for name, array in feeds.items()}
    samples = len(next(iter(few.values())))
    if samples == 1:
        return False
    pairs = zip(run(few, fetches), alone(few, fetches))
    return any(_differs(*pair, samples) for pair in pairs)


def _differs(together: np.ndarray, apart: np.ndarray, samples: int) -> bool:
    together = np.atleast_1d(together)
    if len(apart) == samples * len(together):  # A constant is that of each sample.
        apart = apart[: len(together)]
    if apart.shape != together.shape:
        return True
    scale = np.sqrt(np.square(together, dtype=np.float64).mean())
    # Rounding flips few signs, and moves few values after them.
    far = np.abs(together.astype(np.float64) - apart) > _ROUNDING * scale
    return bool(far.mean() > _FEW_DIFFERENT)
