"""Which variables an optimizer for binary weights may claim."""

from __future__ import annotations

import larq as lq
import tensorflow as tf


@tf.keras.saving.register_keras_serializable(package="larq_bnnopt")
def is_binary_variable(variable: tf.Variable) -> bool:
    """Tells whether a variable holds binary weights themselves, without a latent copy.

    True for kernels of Larq layers with `kernel_quantizer=NoOp(precision=1)`. Unlike
    `larq.optimizers.Bop.is_binary_variable`, it leaves latent kernels (`ste_sign` and
    other quantizers of precision 1) to the optimizer for real values: those must keep
    their magnitude.

    Args:
        variable: A variable of a Keras model.

    Returns:
        Whether an optimizer that flips signs should train it.

    Example:
        >>> layer = lq.layers.QuantDense(2, kernel_quantizer=lq.quantizers.NoOp(1))
        >>> layer.build((None, 3))
        >>> [is_binary_variable(variable) for variable in layer.trainable_variables]
        [True, False]
    """
    return getattr(variable, "precision", None) == 1 and isinstance(
        getattr(variable, "quantizer", None), lq.quantizers.NoOp
    )
