"""Binary networks of recent papers, defined as larq-zoo would define them."""

# Made by tools/build_zoo_stub.py.

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from zoo_extensions import attention, elastic, initializers, layers, quantizers
from zoo_extensions.audio import AudioMLPFactory
from zoo_extensions.bert import BinaryBertFactory
from zoo_extensions.bert_weights import load_bert
from zoo_extensions.binary_densenet import BinaryDenseNetFactory
from zoo_extensions.birealnet import BiRealNetFactory
from zoo_extensions.bnext import BNextFactory, BNextResidualFactory
from zoo_extensions.counting import count_ops
from zoo_extensions.figures import PublishedFigures, published
from zoo_extensions.latent import to_latent_free
from zoo_extensions.meliusnet import MeliusNetFactory
from zoo_extensions.op_count import OpCount
from zoo_extensions.pokebnn import PokeBNNFactory
from zoo_extensions.quantizers import TemperatureDecay, TemperatureSign, force_sign
from zoo_extensions.reactnet import ReActNetBiRealFactory, ReActNetFactory
from zoo_extensions.registry import create_model, list_models
from zoo_extensions.resnet_e import ResNetEFactory
from zoo_extensions.tables import ModelTable, model_table
from zoo_extensions.tiny_residual import TinyResidualBNNFactory

__all__ = [
    "AudioMLP",
    "BNext18",
    "BNextLarge",
    "BNextMiddle",
    "BNextSmall",
    "BNextTiny",
    "BiRealNet18",
    "BiRealNet20",
    "BiRealNet34",
    "BinaryBert",
    "BinaryBertBase",
    "BinaryBertSmall",
    "BinaryBertTiny",
    "BinaryDenseNet28",
    "BinaryDenseNet37",
    "MeliusNet22",
    "MeliusNet29",
    "MeliusNet42",
    "MeliusNet59",
    "MeliusNetA",
    "MeliusNetB",
    "MeliusNetC",
    "ModelTable",
    "OpCount",
    "PokeBNN050",
    "PokeBNN075",
    "PokeBNN100",
    "PokeBNN125",
    "PokeBNN140",
    "PokeBNN200",
    "PublishedFigures",
    "ReActNetA",
    "ReActNetB",
    "ReActNetBiReal18",
    "ReActNetBiReal34",
    "ReActNetC",
    "ResNetE18",
    "ResNetE34",
    "TemperatureDecay",
    "TemperatureSign",
    "TinyResidualBNN",
    "attention",
    "count_ops",
    "create_model",
    "elastic",
    "force_sign",
    "initializers",
    "layers",
    "list_models",
    "load_bert",
    "model_table",
    "published",
    "quantizers",
    "to_latent_free",
]

class _Network:
    """A function that makes a network."""

    architecture: dict[str, Any]
    __name__: str

class _AudioMLP(_Network):
    """A fully connected network with three binary layers for audio features."""

    factory: type[AudioMLPFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 10,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        units: int = 1024,
        scaling: bool = False,
        clipping: bool = True,
    ) -> tf.keras.Model:
        """A fully connected network with three binary layers for audio features."""

AudioMLP: _AudioMLP

class _BNext18(_Network):
    """BNext-18: (2, 2, 2, 2) blocks of two binary convolutions each."""

    factory: type[BNextResidualFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.5,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv7x7",
        blocks: Sequence[int] = (2, 2, 2, 2),
        filters: Sequence[int] = (64, 128, 256, 512),
        squeeze_excite: bool = True,
    ) -> tf.keras.Model:
        """BNext-18: (2, 2, 2, 2) blocks of two binary convolutions each."""

BNext18: _BNext18

class _BNextLarge(_Network):
    """BNext-Large: 29 blocks of 128 to 2048 channels."""

    factory: type[BNextFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.5,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv3x3",
        filters: Sequence[int] = ...,
        squeeze_excite: bool = True,
    ) -> tf.keras.Model:
        """BNext-Large: 29 blocks of 128 to 2048 channels."""

BNextLarge: _BNextLarge

class _BNextMiddle(_Network):
    """BNext-Middle: 21 blocks of 96 to 1536 channels."""

    factory: type[BNextFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.5,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv3x3",
        filters: Sequence[int] = ...,
        squeeze_excite: bool = True,
    ) -> tf.keras.Model:
        """BNext-Middle: 21 blocks of 96 to 1536 channels."""

BNextMiddle: _BNextMiddle

class _BNextSmall(_Network):
    """BNext-Small: 13 blocks of 96 to 1536 channels."""

    factory: type[BNextFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.5,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv3x3",
        filters: Sequence[int] = ...,
        squeeze_excite: bool = True,
    ) -> tf.keras.Model:
        """BNext-Small: 13 blocks of 96 to 1536 channels."""

BNextSmall: _BNextSmall

class _BNextTiny(_Network):
    """BNext-Tiny: 13 blocks of 64 to 1024 channels."""

    factory: type[BNextFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.5,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv3x3",
        filters: Sequence[int] = ...,
        squeeze_excite: bool = True,
    ) -> tf.keras.Model:
        """BNext-Tiny: 13 blocks of 64 to 1024 channels."""

BNextTiny: _BNextTiny

class _BiRealNet18(_Network):
    """Bi-RealNet-18: (4, 4, 4, 4) blocks of one binary convolution each."""

    factory: type[BiRealNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.8,
        batch_norm_epsilon: float = 0.001,
        stem: str = "conv7x7",
        blocks: Sequence[int] = (4, 4, 4, 4),
        filters: Sequence[int] = (64, 128, 256, 512),
        shortcut: str = "conv",
        activation: str | None = None,
        magnitude_independent: bool = False,
        zero_start: bool | None = None,
    ) -> tf.keras.Model:
        """Bi-RealNet-18: (4, 4, 4, 4) blocks of one binary convolution each."""

BiRealNet18: _BiRealNet18

class _BiRealNet20(_Network):
    """Bi-RealNet-20: (6, 6, 6) blocks of one binary convolution each."""

    factory: type[BiRealNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 10,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "cifar",
        blocks: Sequence[int] = (6, 6, 6),
        filters: Sequence[int] = (16, 32, 64),
        shortcut: str = "pad",
        activation: str | None = None,
        magnitude_independent: bool = False,
        zero_start: bool | None = None,
    ) -> tf.keras.Model:
        """Bi-RealNet-20: (6, 6, 6) blocks of one binary convolution each."""

BiRealNet20: _BiRealNet20

class _BiRealNet34(_Network):
    """Bi-RealNet-34: (6, 8, 12, 6) blocks of one binary convolution each."""

    factory: type[BiRealNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.8,
        batch_norm_epsilon: float = 0.001,
        stem: str = "conv7x7",
        blocks: Sequence[int] = (6, 8, 12, 6),
        filters: Sequence[int] = (64, 128, 256, 512),
        shortcut: str = "conv",
        activation: str | None = None,
        magnitude_independent: bool = False,
        zero_start: bool | None = None,
    ) -> tf.keras.Model:
        """Bi-RealNet-34: (6, 8, 12, 6) blocks of one binary convolution each."""

BiRealNet34: _BiRealNet34

class _BinaryBert(_Network):
    """A binary BERT of any size; by default that of BERT-Base."""

    factory: type[BinaryBertFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 2,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        num_layers: int = 12,
        hidden_size: int = 768,
        num_heads: int = 12,
        intermediate_size: int = 3072,
        vocab_size: int = 30522,
        max_length: int = 512,
        num_token_types: int = 2,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_epsilon: float = 1e-12,
    ) -> tf.keras.Model:
        """A binary BERT of any size; by default that of BERT-Base."""

BinaryBert: _BinaryBert

class _BinaryBertBase(_Network):
    """BinaryBertBase: the shape of BERT-Base, which BiT and Diode report."""

    factory: type[BinaryBertFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 2,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        num_layers: int = 12,
        hidden_size: int = 768,
        num_heads: int = 12,
        intermediate_size: int = 3072,
        vocab_size: int = 30522,
        max_length: int = 512,
        num_token_types: int = 2,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_epsilon: float = 1e-12,
    ) -> tf.keras.Model:
        """BinaryBertBase: the shape of BERT-Base, which BiT and Diode report."""

BinaryBertBase: _BinaryBertBase

class _BinaryBertSmall(_Network):
    """BinaryBertSmall: 4 layers of 256 channels, the shape of BERT-Mini."""

    factory: type[BinaryBertFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 2,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        num_layers: int = 4,
        hidden_size: int = 256,
        num_heads: int = 4,
        intermediate_size: int = 1024,
        vocab_size: int = 30522,
        max_length: int = 512,
        num_token_types: int = 2,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_epsilon: float = 1e-12,
    ) -> tf.keras.Model:
        """BinaryBertSmall: 4 layers of 256 channels, the shape of BERT-Mini."""

BinaryBertSmall: _BinaryBertSmall

class _BinaryBertTiny(_Network):
    """BinaryBertTiny: 2 layers of 128 channels, the shape of BERT-Tiny."""

    factory: type[BinaryBertFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 2,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        num_layers: int = 2,
        hidden_size: int = 128,
        num_heads: int = 2,
        intermediate_size: int = 512,
        vocab_size: int = 30522,
        max_length: int = 512,
        num_token_types: int = 2,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_epsilon: float = 1e-12,
    ) -> tf.keras.Model:
        """BinaryBertTiny: 2 layers of 128 channels, the shape of BERT-Tiny."""

BinaryBertTiny: _BinaryBertTiny

class _BinaryDenseNet28(_Network):
    """BinaryDenseNet28: (6, 6, 6, 5) dense blocks, 23 in all."""

    factory: type[BinaryDenseNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        stem_filters: int = 64,
        blocks: Sequence[int] = (6, 6, 6, 5),
        transitions: Sequence[int] = (160, 192, 256),
        growth: int = 64,
        transition_order: str = "pool_first",
    ) -> tf.keras.Model:
        """BinaryDenseNet28: (6, 6, 6, 5) dense blocks, 23 in all."""

BinaryDenseNet28: _BinaryDenseNet28

class _BinaryDenseNet37(_Network):
    """BinaryDenseNet37: (6, 8, 12, 6) dense blocks, 32 in all."""

    factory: type[BinaryDenseNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        stem_filters: int = 64,
        blocks: Sequence[int] = (6, 8, 12, 6),
        transitions: Sequence[int] = (128, 192, 256),
        growth: int = 64,
        transition_order: str = "pool_first",
    ) -> tf.keras.Model:
        """BinaryDenseNet37: (6, 8, 12, 6) dense blocks, 32 in all."""

BinaryDenseNet37: _BinaryDenseNet37

class _MeliusNet22(_Network):
    """MeliusNet-22: (4, 5, 4, 4) pairs of blocks."""

    factory: type[MeliusNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        stem_filters: int = 64,
        blocks: Sequence[int] = (4, 5, 4, 4),
        transitions: Sequence[int] = (160, 224, 256),
        growth: int = 64,
        transition_order: str = "pool_first",
        improvement: str = "new_channels",
    ) -> tf.keras.Model:
        """MeliusNet-22: (4, 5, 4, 4) pairs of blocks."""

MeliusNet22: _MeliusNet22

class _MeliusNet29(_Network):
    """MeliusNet-29: (4, 6, 8, 6) pairs of blocks."""

    factory: type[MeliusNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        stem_filters: int = 64,
        blocks: Sequence[int] = (4, 6, 8, 6),
        transitions: Sequence[int] = (128, 192, 256),
        growth: int = 64,
        transition_order: str = "pool_first",
        improvement: str = "new_channels",
    ) -> tf.keras.Model:
        """MeliusNet-29: (4, 6, 8, 6) pairs of blocks."""

MeliusNet29: _MeliusNet29

class _MeliusNet42(_Network):
    """MeliusNet-42: (5, 8, 14, 10) pairs of blocks."""

    factory: type[MeliusNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        stem_filters: int = 64,
        blocks: Sequence[int] = (5, 8, 14, 10),
        transitions: Sequence[int] = (160, 256, 416),
        growth: int = 64,
        transition_order: str = "pool_first",
        improvement: str = "new_channels",
    ) -> tf.keras.Model:
        """MeliusNet-42: (5, 8, 14, 10) pairs of blocks."""

MeliusNet42: _MeliusNet42

class _MeliusNet59(_Network):
    """MeliusNet-59: (6, 12, 24, 12) pairs of blocks."""

    factory: type[MeliusNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        stem_filters: int = 64,
        blocks: Sequence[int] = (6, 12, 24, 12),
        transitions: Sequence[int] = (192, 320, 544),
        growth: int = 64,
        transition_order: str = "pool_first",
        improvement: str = "new_channels",
    ) -> tf.keras.Model:
        """MeliusNet-59: (6, 12, 24, 12) pairs of blocks."""

MeliusNet59: _MeliusNet59

class _MeliusNetA(_Network):
    """MeliusNet-A: (4, 5, 5, 6) pairs of blocks, transitions of 4 groups."""

    factory: type[MeliusNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        stem_filters: int = 64,
        blocks: Sequence[int] = (4, 5, 5, 6),
        transitions: Sequence[int] = (160, 256, 288),
        growth: int = 64,
        transition_order: str = "pool_first",
        improvement: str = "new_channels",
    ) -> tf.keras.Model:
        """MeliusNet-A: (4, 5, 5, 6) pairs of blocks, transitions of 4 groups."""

MeliusNetA: _MeliusNetA

class _MeliusNetB(_Network):
    """MeliusNet-B: (4, 6, 8, 6) pairs of blocks, transitions of 2 groups."""

    factory: type[MeliusNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        stem_filters: int = 64,
        blocks: Sequence[int] = (4, 6, 8, 6),
        transitions: Sequence[int] = (160, 224, 320),
        growth: int = 64,
        transition_order: str = "pool_first",
        improvement: str = "new_channels",
    ) -> tf.keras.Model:
        """MeliusNet-B: (4, 6, 8, 6) pairs of blocks, transitions of 2 groups."""

MeliusNetB: _MeliusNetB

class _MeliusNetC(_Network):
    """MeliusNet-C: (3, 5, 10, 6) pairs of blocks, transitions of 4 groups."""

    factory: type[MeliusNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        stem_filters: int = 64,
        blocks: Sequence[int] = (3, 5, 10, 6),
        transitions: Sequence[int] = (128, 192, 288),
        growth: int = 64,
        transition_order: str = "pool_first",
        improvement: str = "new_channels",
    ) -> tf.keras.Model:
        """MeliusNet-C: (3, 5, 10, 6) pairs of blocks, transitions of 4 groups."""

MeliusNetC: _MeliusNetC

class _PokeBNN050(_Network):
    """PokeBNN-0.5x: 16 blocks of three convolutions, of width 0.5."""

    factory: type[PokeBNNFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 3.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "poke",
        blocks: Sequence[int] = (3, 4, 6, 3),
        filters: Sequence[int] = (32, 64, 128, 256),
    ) -> tf.keras.Model:
        """PokeBNN-0.5x: 16 blocks of three convolutions, of width 0.5."""

PokeBNN050: _PokeBNN050

class _PokeBNN075(_Network):
    """PokeBNN-0.75x: 16 blocks of three convolutions, of width 0.75."""

    factory: type[PokeBNNFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 3.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "poke",
        blocks: Sequence[int] = (3, 4, 6, 3),
        filters: Sequence[int] = (48, 96, 192, 384),
    ) -> tf.keras.Model:
        """PokeBNN-0.75x: 16 blocks of three convolutions, of width 0.75."""

PokeBNN075: _PokeBNN075

class _PokeBNN100(_Network):
    """PokeBNN-1x: 16 blocks of three convolutions, of width 1."""

    factory: type[PokeBNNFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 3.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "poke",
        blocks: Sequence[int] = (3, 4, 6, 3),
        filters: Sequence[int] = (64, 128, 256, 512),
    ) -> tf.keras.Model:
        """PokeBNN-1x: 16 blocks of three convolutions, of width 1."""

PokeBNN100: _PokeBNN100

class _PokeBNN125(_Network):
    """PokeBNN-1.25x: 16 blocks of three convolutions, of width 1.25."""

    factory: type[PokeBNNFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 3.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "poke",
        blocks: Sequence[int] = (3, 4, 6, 3),
        filters: Sequence[int] = (80, 160, 320, 640),
    ) -> tf.keras.Model:
        """PokeBNN-1.25x: 16 blocks of three convolutions, of width 1.25."""

PokeBNN125: _PokeBNN125

class _PokeBNN140(_Network):
    """PokeBNN-1.4x: 16 blocks of three convolutions, of width 1.4."""

    factory: type[PokeBNNFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 3.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "poke",
        blocks: Sequence[int] = (3, 4, 6, 3),
        filters: Sequence[int] = (89, 179, 358, 716),
    ) -> tf.keras.Model:
        """PokeBNN-1.4x: 16 blocks of three convolutions, of width 1.4."""

PokeBNN140: _PokeBNN140

class _PokeBNN200(_Network):
    """PokeBNN-2x: 16 blocks of three convolutions, of width 2."""

    factory: type[PokeBNNFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 3.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "poke",
        blocks: Sequence[int] = (3, 4, 6, 3),
        filters: Sequence[int] = (128, 256, 512, 1024),
    ) -> tf.keras.Model:
        """PokeBNN-2x: 16 blocks of three convolutions, of width 2."""

PokeBNN200: _PokeBNN200

class _ReActNetA(_Network):
    """ReActNet-A: 13 blocks, all binary."""

    factory: type[ReActNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv3x3",
        filters: Sequence[int] = ...,
    ) -> tf.keras.Model:
        """ReActNet-A: 13 blocks, all binary."""

ReActNetA: _ReActNetA

class _ReActNetB(_Network):
    """ReActNet-B: 13 blocks, five with real convolutions."""

    factory: type[ReActNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv3x3",
        filters: Sequence[int] = ...,
    ) -> tf.keras.Model:
        """ReActNet-B: 13 blocks, five with real convolutions."""

ReActNetB: _ReActNetB

class _ReActNetBiReal18(_Network):
    """ReActNet on Bi-RealNet-18: (4, 4, 4, 4) blocks of one convolution each."""

    factory: type[ReActNetBiRealFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv7x7",
        blocks: Sequence[int] = (4, 4, 4, 4),
        filters: Sequence[int] = (64, 128, 256, 512),
    ) -> tf.keras.Model:
        """ReActNet on Bi-RealNet-18: (4, 4, 4, 4) blocks of one convolution each."""

ReActNetBiReal18: _ReActNetBiReal18

class _ReActNetBiReal34(_Network):
    """ReActNet on Bi-RealNet-34: (6, 8, 12, 6) blocks of one convolution each."""

    factory: type[ReActNetBiRealFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv7x7",
        blocks: Sequence[int] = (6, 8, 12, 6),
        filters: Sequence[int] = (64, 128, 256, 512),
    ) -> tf.keras.Model:
        """ReActNet on Bi-RealNet-34: (6, 8, 12, 6) blocks of one convolution each."""

ReActNetBiReal34: _ReActNetBiReal34

class _ReActNetC(_Network):
    """ReActNet-C: 13 blocks, five with real convolutions."""

    factory: type[ReActNetFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "conv3x3",
        filters: Sequence[int] = ...,
    ) -> tf.keras.Model:
        """ReActNet-C: 13 blocks, five with real convolutions."""

ReActNetC: _ReActNetC

class _ResNetE18(_Network):
    """ResNetE18: (4, 4, 4, 4) blocks of one binary convolution each."""

    factory: type[ResNetEFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        blocks: Sequence[int] = (4, 4, 4, 4),
        filters: Sequence[int] = (64, 128, 256, 512),
    ) -> tf.keras.Model:
        """ResNetE18: (4, 4, 4, 4) blocks of one binary convolution each."""

ResNetE18: _ResNetE18

class _ResNetE34(_Network):
    """ResNetE34: (6, 8, 12, 6) blocks of one binary convolution each."""

    factory: type[ResNetEFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 1000,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 0.0,
        clip_value: float = 1.3,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        stem: str = "grouped",
        blocks: Sequence[int] = (6, 8, 12, 6),
        filters: Sequence[int] = (64, 128, 256, 512),
    ) -> tf.keras.Model:
        """ResNetE34: (6, 8, 12, 6) blocks of one binary convolution each."""

ResNetE34: _ResNetE34

class _TinyResidualBNN(_Network):
    """A residual binary network of seven 3x3 convolutions for small images."""

    factory: type[TinyResidualBNNFactory]

    def __call__(
        self,
        *,
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        weights: str | None = None,
        include_top: bool = True,
        num_classes: int = 10,
        latent_weights: bool = True,
        precision: str = "binary",
        classifier_activation: str | None = "softmax",
        pad_values: float = 1.0,
        clip_value: float = 1.0,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-05,
        filters: Sequence[int] = (32, 64, 128),
        convolutions_per_stage: int = 2,
    ) -> tf.keras.Model:
        """A residual binary network of seven 3x3 convolutions for small images."""

TinyResidualBNN: _TinyResidualBNN
