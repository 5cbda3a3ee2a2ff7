"""ResNetE: a residual network with a shortcut around each binary convolution."""

from collections.abc import Sequence

import tensorflow as tf
from zookeeper import Field, factory

from zoo_extensions.model_function import ModelFunction, model_function
from zoo_extensions.residual_factory import ResidualFactory


@factory
class ResNetEFactory(ResidualFactory):
    """Stages of binary 3x3 convolutions, each with a shortcut around it.

    A block is sign, a binary 3x3 convolution and batch normalization; the shortcut of
    the blocks that halve the image is average pooling, a real 1x1 convolution and batch
    normalization. The image and the stem's output are normalized as well. Paper 002
    (Table 2) trains it with the 7x7 stem of the original and with its own grouped stem;
    the Bi-RealNet34 of that table is ResNetE34.
    """

    references: Sequence[str] = (
        "[Back to Simplicity: How to Train Accurate BNNs from Scratch?]"
        "(https://arxiv.org/abs/1906.08637)",
        "Paper 002: [MeliusNet](https://arxiv.org/abs/2001.05936), Table 2.",
    )

    clip_value: float = Field(1.3)

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """Normalized image, stem, stages and the last activation."""
        x = tf.keras.layers.BatchNormalization(
            momentum=self.batch_norm_momentum,
            epsilon=2e-5,
            scale=False,
            name="image_bn",
        )(x)
        x = self.norm(self.stem_block(x), "stem_bn")
        return self.activate(self.stages(x), "relu", "head_relu")


def _model(number: int, blocks: tuple[int, ...]) -> ModelFunction:
    return model_function(
        ResNetEFactory,
        f"ResNetE{number}",
        f"ResNetE{number}: {blocks} blocks of one binary convolution each.",
        name=f"resnet_e{number}",
        blocks=blocks,
    )


ResNetE18 = _model(18, (4, 4, 4, 4))
ResNetE34 = _model(34, (6, 8, 12, 6))

__test__ = {"ResNetE18": ResNetE18}
