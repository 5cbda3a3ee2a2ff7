"""Builds the self-test: a small network that LiteRT must compute before it is used.

    python tools/build_self_test.py

It contains all four binary operators, all types between them except int8, and both
paddings. The expected output is computed by Larq Compute Engine.
"""

import larq as lq
import numpy as np
import tensorflow as tf

import converters
from converters.runtime.delegate import SELF_TEST, SELF_TEST_ANSWER, self_test_input

layers = tf.keras.layers


def network() -> tf.keras.Model:
    """Returns the network."""
    sign = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
    image = tf.keras.Input((7, 7, 40))
    x = lq.layers.QuantConv2D(
        48, 3, padding="same", input_quantizer="ste_sign", use_bias=False, **sign
    )(image)
    x = layers.BatchNormalization()(x)
    x = lq.layers.QuantConv2D(
        64,
        3,
        strides=2,
        padding="same",
        pad_values=1,
        input_quantizer="ste_sign",
        use_bias=False,
        **sign,
    )(x)
    x = layers.BatchNormalization()(x)
    signs = lq.quantizers.SteSign()(x)
    x = lq.layers.QuantConv2D(33, 2, use_bias=False, **sign)(signs)
    x = layers.MaxPooling2D(2, strides=1)(x)
    x = lq.layers.QuantConv2D(5, 1, input_quantizer="ste_sign", use_bias=False, **sign)(
        x
    )
    return tf.keras.Model(image, [x, layers.GlobalAveragePooling2D()(signs)])


def main() -> None:
    """Writes the file and its answer."""
    tf.keras.utils.set_random_seed(1)
    model = network()
    generator = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape[0]
            layer.set_weights(
                [
                    generator.uniform(0.5, 1.5, size) * generator.choice([-1, 1], size),
                    generator.normal(size=size),
                    generator.normal(size=size, scale=5),
                    generator.uniform(20, 80, size),
                ]
            )
    content = converters.convert(model, inputs=None).content
    interpreter = converters.Interpreter(content, backend="lce")
    operators = {operator.name for operator in interpreter.file.operators}
    wanted = {"LceQuantize", "LceDequantize", "LceBMaxPool2d", "LceBconv2d"}
    if not wanted <= operators:
        raise SystemExit(f"The file lacks {wanted - operators}.")
    answers = interpreter.predict(self_test_input())
    if not isinstance(answers, dict):
        raise SystemExit("The file has one output.")
    SELF_TEST.write_bytes(content)
    np.save(SELF_TEST_ANSWER, np.concatenate([a.ravel() for a in answers.values()]))
    print(f"{SELF_TEST}: {len(content):,} bytes, {sorted(operators)}")


if __name__ == "__main__":
    main()
