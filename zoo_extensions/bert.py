"""BiT, a binary BERT: sentence classification with binary weights and activations."""

from collections.abc import Sequence
from typing import Any, Optional

import tensorflow as tf
from zookeeper import Field, factory

from zoo_extensions.attention import (
    AttentionContext,
    AttentionScores,
    FirstToken,
    MaskBias,
    PositionEmbedding,
)
from zoo_extensions.binary_factory import BinaryFactory, InputShapeError
from zoo_extensions.dropout import SeededDropout
from zoo_extensions.elastic import (
    BinaryEmbedding,
    CenteredSign,
    ElasticLinear,
    ElasticSign,
    ElasticUnit,
)
from zoo_extensions.model_function import model_function

# Inputs of the model, in the order of its Keras inputs.
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_ACTIVATIONS = ("relu", "gelu")


@factory
class BinaryBertFactory(BinaryFactory):
    """BERT whose linear layers and word embeddings are binary, as in BiT.

    Every linear layer but the classifier has a shifted input with a learned scale and a
    kernel of signs with one scale; so do the queries, keys and values before they are
    multiplied, and the probabilities of attention. Probabilities and the inputs of
    `layer_i_output` are binarized to 0 and a scale, everything else to signs. Word
    embeddings are signs with a scale for each row; embeddings of positions and types,
    layer normalizations and the classifier are real. The scales of activations are set
    by the first batch of the training.

    The authors' code also creates shifts of queries, keys and values, and then
    overwrites the result before it is used. They have no effect there, and are left out
    here.

    The inputs are `input_ids`, `attention_mask` (1 for tokens, 0 for padding) and
    `token_type_ids`, integers of (batch, tokens) each: give a dictionary of them, or a
    list in this order. Without a top the outputs are the last hidden states,
    (batch, tokens, hidden_size).
    """

    options = {  # noqa: RUF012
        "num_layers": "Number of transformer layers.",
        "hidden_size": "Channels of the hidden states.",
        "num_heads": "Attention heads, a divisor of `hidden_size`.",
        "intermediate_size": "Channels of the feed-forward layers.",
        "vocab_size": "Rows of the table of word embeddings.",
        "max_length": "Rows of the table of positions.",
        "num_token_types": "Rows of the table of token types.",
        "dropout": "Dropout of embeddings, probabilities, outputs and the pooler.",
        "activation": '`"relu"` of the feed-forward layers, as BiT trains; `"gelu"` as '
        "in BERT, whose published weights need it. Binarized, a negative value is 0.",
        "layer_norm_epsilon": "Epsilon of every layer normalization.",
    }
    argument_texts = {  # noqa: RUF012
        "input_shape": "`(tokens,)`, or `None` for {default_input_shape}.",
        "weights": "Path of a file of weights of this model, or `None` for random "
        "ones. `load_bert` reads files of Hugging Face.",
        "include_top": "Whether to end in the pooler and the classifier.",
        "num_classes": "Number of classes; 1 with `classifier_activation=None` for a "
        "regression.",
        "latent_weights": "`True` trains real-valued kernels and embeddings through "
        "their sign, as BiT does; with `False` they are {{-1, +1}} themselves with "
        "learned scales, for Diode, the gradient filter and Bop.",
        "precision": '`"binary"`; `"float"` for BERT itself; `"binary_weights"` with '
        'real activations alone, `"binary_activations"` with real kernels and '
        "embeddings alone. Real kernels need `latent_weights=True`.",
    }
    withdrawn: Sequence[str] = (
        "input_tensor",
        "pad_values",
        "clip_value",
        "batch_norm_momentum",
        "batch_norm_epsilon",
    )
    references: Sequence[str] = (
        "[BiT](https://arxiv.org/abs/2205.13016)",
        "[BERT](https://arxiv.org/abs/1810.04805)",
        "Paper 003 (Diode), section 4.3 and table 2.",
    )

    # A whole one takes half a gigabyte.
    example: str = "num_layers=1, vocab_size=100, latent_weights=False"

    default_input_shape: Sequence[int] = Field((128,))
    default_num_classes: int = Field(2)
    num_layers: int = Field(12)
    hidden_size: int = Field(768)
    num_heads: int = Field(12)
    intermediate_size: int = Field(3072)
    vocab_size: int = Field(30522)
    max_length: int = Field(512)
    num_token_types: int = Field(2)
    dropout: float = Field(0.1)
    activation: str = Field("relu")
    layer_norm_epsilon: float = Field(1e-12)

    @property
    def float_initializer(self):
        """Initializer of all real-valued weights: that of BERT."""
        return tf.keras.initializers.RandomNormal(stddev=0.02)

    @property
    def latent_quantizer(self):
        """Signs about the mean with one scale for the kernel."""
        return CenteredSign()

    @property
    def latent_constraint(self):
        """None: latent weights of any magnitude are trained."""
        return None

    def check_input_shape(self, argument: str, shape: Sequence[Optional[int]]) -> None:
        """Raises a ValueError unless a shape is a known number of tokens."""
        shape = tuple(shape)
        if len(shape) != 1 or shape[0] is None or not 1 <= shape[0] <= self.max_length:
            raise InputShapeError(
                f"{argument}: {shape} must be (tokens,), from 1 to max_length="
                f"{self.max_length}, since {self.name} takes texts."
            )

    def check(self) -> None:
        """Raises a ValueError for arguments out of their range."""
        super().check()
        for size in (
            "num_layers",
            "hidden_size",
            "num_heads",
            "intermediate_size",
            "vocab_size",
            "max_length",
            "num_token_types",
        ):
            self.require(size, getattr(self, size) >= 1, "at least 1")
        self.require(
            "num_heads",
            self.hidden_size % self.num_heads == 0,
            f"a divisor of hidden_size={self.hidden_size}",
        )
        self.require("dropout", 0 <= self.dropout < 1, "in [0, 1)")
        self.require("layer_norm_epsilon", self.layer_norm_epsilon > 0, "above 0")
        self.require(
            "classifier_activation",
            not self.include_top
            or self.num_classes > 1
            or self.classifier_activation != "softmax",
            "None (a regression) or 'sigmoid' for num_classes=1: the softmax of one "
            "number is 1",
        )
        self.require("activation", self.activation in _ACTIVATIONS, "'relu' or 'gelu'")

    def drop(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """Dropout that a resumed training repeats."""
        return SeededDropout(self.dropout, name=name)(x)

    def norm(self, x: tf.Tensor, name: str, **kwargs: Any) -> tf.Tensor:
        """Layer normalization."""
        return tf.keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, name=name, **kwargs
        )(x)

    def linear(
        self,
        x: tf.Tensor,
        units: int,
        name: str,
        quantizer: type = ElasticSign,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Linear layer, binary by `precision`."""
        binary = self.has_binary_activations
        return ElasticLinear(
            units,
            input_quantizer=quantizer(name="input") if binary else None,
            kernel_quantizer=self.kernel_quantizer,
            kernel_initializer=self.kernel_initializer,
            name=name,
            **kwargs,
        )(x)

    def binarize(self, x: tf.Tensor, name: str, quantizer: type) -> tf.Tensor:
        """A factor of a product of activations, binary by `precision`."""
        return quantizer(name=name)(x) if self.has_binary_activations else x

    def word_embedding(self, ids: tf.Tensor) -> tf.Tensor:
        """Word embeddings, binary by `precision`."""
        quantizer = self.kernel_quantizer
        if self.has_binary_kernels and self.latent_weights:
            quantizer = CenteredSign(by_row=True)
        return BinaryEmbedding(
            self.vocab_size,
            self.hidden_size,
            embeddings_quantizer=quantizer,
            embeddings_initializer=self.kernel_initializer,
            name="embeddings_word",
        )(ids)

    def embed(self, ids: tf.Tensor, types: tf.Tensor) -> tf.Tensor:
        """Sum of the three embeddings, normalized."""
        x = self.word_embedding(ids)
        x = PositionEmbedding(
            self.max_length,
            embeddings_initializer=self.float_initializer,
            name="embeddings_position",
        )(x)
        types = tf.keras.layers.Embedding(
            self.num_token_types,
            self.hidden_size,
            embeddings_initializer=self.float_initializer,
            name="embeddings_type",
        )(types)
        x = tf.keras.layers.Add(name="embeddings_sum")([x, types])
        return self.drop(self.norm(x, "embeddings_norm"), "embeddings_dropout")

    def attend(self, x: tf.Tensor, bias: tf.Tensor, name: str) -> tf.Tensor:
        """The context of self-attention."""
        queries, keys, values = (
            self.binarize(
                self.linear(x, self.hidden_size, f"{name}_{part}"),
                f"{name}_{part}_sign",
                ElasticSign,
            )
            for part in ("query", "key", "value")
        )
        scores = AttentionScores(self.num_heads, name=f"{name}_scores")(
            [queries, keys, bias]
        )
        picks = tf.keras.layers.Softmax(name=f"{name}_probabilities")(scores)
        picks = self.drop(picks, f"{name}_probabilities_dropout")
        picks = self.binarize(picks, f"{name}_probabilities_binary", ElasticUnit)
        return AttentionContext(self.num_heads, name=f"{name}_context")([picks, values])

    def add_and_norm(self, x: tf.Tensor, y: tf.Tensor, name: str) -> tf.Tensor:
        """Dropout, sum with the shortcut, normalization."""
        y = self.drop(y, f"{name}_dropout")
        return self.norm(
            tf.keras.layers.Add(name=f"{name}_sum")([x, y]), f"{name}_norm"
        )

    def transformer_layer(self, x: tf.Tensor, bias: tf.Tensor, name: str) -> tf.Tensor:
        """Self-attention and feed-forward layers."""
        y = self.attend(x, bias, name)
        y = self.linear(y, self.hidden_size, f"{name}_attention_dense")
        x = self.add_and_norm(x, y, f"{name}_attention")
        y = self.linear(
            x,
            self.intermediate_size,
            f"{name}_intermediate",
            activation=self.activation,
        )
        y = self.linear(y, self.hidden_size, f"{name}_output", ElasticUnit)
        return self.add_and_norm(x, y, name)

    def top(self, x: tf.Tensor) -> tf.Tensor:
        """Pooler and real classifier."""
        x = FirstToken(name="first_token")(x)
        x = self.linear(x, self.hidden_size, "pooler", activation="tanh")
        x = self.drop(x, "pooler_dropout")
        x = tf.keras.layers.Dense(
            self.num_classes,
            kernel_initializer=self.float_initializer,
            name="classifier",
        )(x)
        if self.classifier_activation is None:
            return x
        # Softmax in 16 bits loses small probabilities.
        return tf.keras.layers.Activation(
            self.classifier_activation, dtype="float32", name="classifier_activation"
        )(x)

    def build(self) -> tf.keras.Model:
        """Returns the Keras model."""
        self.check()
        shape = self.input_shape
        shape = tuple(self.default_input_shape if shape is None else shape)
        self.check_input_shape("input_shape", shape)
        inputs = [tf.keras.Input(shape, dtype="int32", name=name) for name in INPUTS]
        ids, mask, types = inputs
        x = self.embed(ids, types)
        bias = MaskBias(name="mask_bias")(mask)
        for index in range(self.num_layers):
            x = self.transformer_layer(x, bias, f"layer_{index}")
        if self.include_top:
            x = self.top(x)
        model = tf.keras.Model(inputs, x, name=self.name)
        self.load(model)
        return model


BinaryBertBase = model_function(
    BinaryBertFactory,
    "BinaryBertBase",
    "BinaryBertBase: the shape of BERT-Base, which BiT and Diode report.",
    name="binary_bert_base",
)
BinaryBertSmall = model_function(
    BinaryBertFactory,
    "BinaryBertSmall",
    "BinaryBertSmall: 4 layers of 256 channels, the shape of BERT-Mini.",
    name="binary_bert_small",
    num_layers=4,
    hidden_size=256,
    num_heads=4,
    intermediate_size=1024,
)
BinaryBertTiny = model_function(
    BinaryBertFactory,
    "BinaryBertTiny",
    "BinaryBertTiny: 2 layers of 128 channels, the shape of BERT-Tiny.",
    name="binary_bert_tiny",
    num_layers=2,
    hidden_size=128,
    num_heads=2,
    intermediate_size=512,
)
BinaryBert = model_function(
    BinaryBertFactory,
    "BinaryBert",
    "A binary BERT of any size; by default that of BERT-Base.",
    name="binary_bert",
)

__test__ = {"BinaryBertTiny": BinaryBertTiny}
