"""How frozen graphs are run."""

from __future__ import annotations

from typing import Any


def session_of(graph: Any) -> Any:
    """Returns a session of a graph that computes each operation as it stands.

    TensorFlow otherwise multiplies scales into the kernels before them, which makes
    sums of +a and -a, near zero but for rounding, of exact ones of +1 and -1: another
    network than Keras's. And on processors without AVX-512 it joins grouped
    convolutions with their batch normalization, and then says that it cannot compute
    that.

    Args:
        graph: A `tf.Graph`.
    """
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return tf.compat.v1.Session(graph=graph, config=config)
