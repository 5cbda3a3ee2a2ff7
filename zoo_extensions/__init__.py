"""Binary networks of recent papers, defined as larq-zoo would define them."""

from _larq_bnnopt_keras import use_keras_2

use_keras_2()

from zoo_extensions import (  # noqa: E402  (Keras 2 first)
    attention,
    elastic,
    initializers,
    layers,
    quantizers,
)
from zoo_extensions.audio import AudioMLP  # noqa: E402
from zoo_extensions.bert import (  # noqa: E402
    BinaryBert,
    BinaryBertBase,
    BinaryBertSmall,
    BinaryBertTiny,
)
from zoo_extensions.bert_weights import load_bert  # noqa: E402
from zoo_extensions.binary_densenet import (  # noqa: E402
    BinaryDenseNet28,
    BinaryDenseNet37,
)
from zoo_extensions.birealnet import (  # noqa: E402
    BiRealNet18,
    BiRealNet20,
    BiRealNet34,
)
from zoo_extensions.bnext import (  # noqa: E402
    BNext18,
    BNextLarge,
    BNextMiddle,
    BNextSmall,
    BNextTiny,
)
from zoo_extensions.counting import count_ops  # noqa: E402
from zoo_extensions.figures import PublishedFigures, published  # noqa: E402
from zoo_extensions.latent import to_latent_free  # noqa: E402
from zoo_extensions.meliusnet import (  # noqa: E402
    MeliusNet22,
    MeliusNet29,
    MeliusNet42,
    MeliusNet59,
    MeliusNetA,
    MeliusNetB,
    MeliusNetC,
)
from zoo_extensions.op_count import OpCount  # noqa: E402
from zoo_extensions.pokebnn import (  # noqa: E402
    PokeBNN050,
    PokeBNN075,
    PokeBNN100,
    PokeBNN125,
    PokeBNN140,
    PokeBNN200,
)
from zoo_extensions.quantizers import (  # noqa: E402
    TemperatureDecay,
    TemperatureSign,
    force_sign,
)
from zoo_extensions.reactnet import (  # noqa: E402
    ReActNetA,
    ReActNetB,
    ReActNetBiReal18,
    ReActNetBiReal34,
    ReActNetC,
)
from zoo_extensions.registry import create_model, list_models  # noqa: E402
from zoo_extensions.resnet_e import ResNetE18, ResNetE34  # noqa: E402
from zoo_extensions.tables import ModelTable, model_table  # noqa: E402
from zoo_extensions.tiny_residual import TinyResidualBNN  # noqa: E402

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
