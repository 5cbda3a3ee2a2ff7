"""How frozen graphs are run."""

from __future__ import annotations

from typing import Any


def session_of(graph: Any) -> Any:
    """Returns a session of a graph that joins no convolution with what follows it.

    On processors without AVX-512 TensorFlow otherwise joins grouped convolutions with
    their batch normalization, and then says that it cannot compute that.

    Args:
        graph: A `tf.Graph`.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import rewriter_config_pb2

    config = tf.compat.v1.ConfigProto()
    rewrites = config.graph_options.rewrite_options
    rewrites.remapping = rewriter_config_pb2.RewriterConfig.OFF
    return tf.compat.v1.Session(graph=graph, config=config)
