"""Functions that make models: their signatures and documentation, from a factory."""

import inspect
import textwrap
import typing
from collections.abc import Sequence
from typing import Any, Optional, Protocol

import tensorflow as tf
from zookeeper import Field, factory

from zoo_extensions.binary_factory import BinaryFactory

# Common arguments of the functions of all networks, in this order. Factories document
# other arguments, and some of these differently.
_ARGUMENTS = {
    "input_shape": "`(height, width, channels)`, where height and width may be `None`, "
    "or `None` for {default_input_shape}.",
    "input_tensor": "Keras tensor to use as the input.",
    "weights": "Path of a file of weights, or `None` for random ones. No ImageNet "
    "weights are published.",
    "include_top": "Whether to end in pooling and a dense layer.",
    "num_classes": "Number of classes.",
    "latent_weights": "`True` trains real-valued kernels through their sign, as "
    "larq-zoo does; with `False` the kernels are {{-1, +1}} themselves, for Diode, the "
    "gradient filter and Bop.",
    "precision": '`"binary"`; `"float"` for the full-precision twin, which has the '
    "same layers and shapes, real kernels, and {real_activation} in place of each "
    'sign; `"binary_weights"` with real activations alone, `"binary_activations"` with '
    "real kernels alone. Real kernels need `latent_weights=True`; real activations are "
    "padded with 0.",
    "classifier_activation": "Activation of the last layer, `None` for logits.",
    "pad_values": "Padding value of the binary convolutions: 0, 1 or -1. Larq Compute "
    "Engine keeps layers binary with 0 and 1 only, and computes wrong values with 0 "
    "where a feature map is smaller than 3x3 pixels.",
    "clip_value": "The gradient of a sign is zero outside [-clip_value, clip_value], "
    "and latent weights are clipped to that interval.",
    "batch_norm_momentum": "Momentum of every batch normalization.",
    "batch_norm_epsilon": "Epsilon of every batch normalization.",
}

_INPUT_SHAPE = Optional[Sequence[Optional[int]]]

_DOCUMENTATION = """{summary}

{description}

Args:
{arguments}

Returns:
    A Keras model.

Raises:
    ValueError: If an argument is out of its range, or the file of weights is missing
        or belongs to another architecture.
    OSError: If weights cannot be downloaded.

Example:
    >>> {name}({example}).output_shape
    (None, {num_classes})

References:
{references}
"""


class ModelFunction(Protocol):
    """The function of a model, such as `MeliusNet22`.

    Attributes:
        factory: Its zookeeper factory, for a `ComponentField`.
        architecture: Fields that it sets in the factory of its family.
    """

    factory: type[BinaryFactory]
    architecture: dict[str, Any]
    __name__: str

    def __call__(
        self,
        *,  # Keyword arguments only, as in larq-zoo.
        input_shape: Sequence[int | None] | None = ...,
        input_tensor: Any = ...,
        weights: str | None = ...,
        include_top: bool = ...,
        num_classes: int = ...,
        latent_weights: bool = ...,
        precision: str = ...,
        classifier_activation: str | None = ...,
        pad_values: float = ...,
        clip_value: float = ...,
        batch_norm_momentum: float = ...,
        batch_norm_epsilon: float = ...,
        **options: Any,
    ) -> tf.keras.Model:
        """Makes the model."""


def documented_arguments(family: type[BinaryFactory]) -> dict[str, str]:
    """Returns the arguments of a family's functions, with their documentation."""
    texts = {**_ARGUMENTS, **family.options, **family.argument_texts}
    shape = tuple(family().default_input_shape)
    common = [key for key in _ARGUMENTS if key not in family.withdrawn]
    return {
        key: texts[key].format(
            default_input_shape=shape, real_activation=family.real_activation_text
        )
        for key in (*common, *family.options)
    }


def _documentation(
    own: type[BinaryFactory], name: str, summary: str, defaults: dict[str, Any]
) -> str:
    """Returns the documentation of a model's function."""
    arguments = [
        textwrap.fill(
            f"{key}: {text} Defaults to `{defaults[key]!r}`.",
            width=88,
            initial_indent=" " * 4,
            subsequent_indent=" " * 8,
            break_on_hyphens=False,
        )
        for key, text in documented_arguments(own).items()
    ]
    return _DOCUMENTATION.format(
        name=name,
        summary=summary,
        description=inspect.getdoc(own.__base__),
        arguments="\n".join(arguments),
        example=own.example,
        num_classes=defaults["num_classes"],
        references="\n".join(f"    - {reference}" for reference in own.references),
    )


def _default(value: Any) -> Any:
    """Returns the value as a default of a `Field`, which would call a class."""
    return (lambda: value) if isinstance(value, type) else value


def model_function(
    family: type[BinaryFactory],
    function: str,
    summary: str,
    /,
    **architecture: Any,
) -> ModelFunction:
    """Makes the function of one model of a family.

    Args:
        family: The factory of the family.
        function: Name of the function, such as `"MeliusNet22"`.
        summary: First line of its documentation.
        **architecture: Fields of the factory that make it this model; `name` among them
            is the model's name in Keras and in `create_model`.

    Returns:
        The function. Its arguments are those that all models take, and the family's
        `options`; their defaults are the factory's.
    """
    fields = {key: Field(_default(value)) for key, value in architecture.items()}
    # Any sequence of sizes becomes the tuple that larq-zoo's annotation asks for.
    hints = {**typing.get_type_hints(family), "input_shape": _INPUT_SHAPE}
    own = factory(
        type(
            f"{function}Factory",
            (family,),
            {
                "__module__": family.__module__,
                "__doc__": summary,
                "__annotations__": {key: hints.get(key, Any) for key in fields},
                **fields,
            },
        )
    )
    defaults = {key: getattr(own(), key) for key in documented_arguments(own)}

    def make(**arguments: Any) -> tf.keras.Model:
        unknown = arguments.keys() - defaults.keys()
        if unknown:
            raise TypeError(
                f"{function} has no argument {', '.join(sorted(unknown))}; it takes "
                f"{', '.join(defaults)}."
            )
        shape = arguments.get("input_shape")
        if shape is not None:
            arguments["input_shape"] = tuple(shape)
        return own(**arguments).build()

    make.__name__ = make.__qualname__ = function
    make.__module__ = family.__module__
    make.__doc__ = _documentation(own, function, summary, defaults)
    make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                key,
                inspect.Parameter.KEYWORD_ONLY,
                default=value,
                annotation=hints.get(key, type(value)),
            )
            for key, value in defaults.items()
        ],
        return_annotation=tf.keras.Model,
    )
    make.factory = own  # type: ignore[attr-defined]
    make.architecture = architecture  # type: ignore[attr-defined]
    return typing.cast(ModelFunction, make)
