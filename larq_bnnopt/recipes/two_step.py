"""Two-step training of AdamBNN and ReActNet: binary activations first, then all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from larq_bnnopt import datasets
from larq_bnnopt.recipe_fields import TwoStepFields, documented
from larq_bnnopt.recipes.recipe import Recipe
from larq_bnnopt.recipes.temperature import binarized, copy_weights


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoStep(TwoStepFields, Recipe):
    """Two-step training: first only activations are binary, then weights, too.

    Stage 1 trains real kernels under binary activations, with weight decay: the
    gradient of w becomes g + d w before Adam uses it (L2 regularization, not AdamW). It
    decays what AdamBNN's code decays: the kernels of all convolutions, also the
    real-valued ones, and the shifts of RSign and RPReLU, which are 4-dimensional there;
    no dense layer, batch normalization or slope.

    Stage 2 starts a new optimizer from these weights, without decay. Under `"adam"` the
    kernels are latent weights of the signs; under Diode or the gradient filter they are
    the signs themselves, and the scales move into the batch normalizations
    (`zoo_extensions.to_latent_free`).

    In AdamBNN's code the schedule advances before the first epoch, so that the last one
    trains at rate zero. That is a slip, and is not repeated: the rate falls in every
    optimizer step, and reaches zero after the last one.

    Example:
        >>> TwoStep(epochs=4, first_epochs=2).stage_epochs()
        (2, 4)

    References:
        Paper 000 (AdamBNN): two-step training; weight decay 5e-6 in its code, 1e-5 in
        ReActNet's.
    """

    def build(
        self,
        stage: int,
        data: datasets.Dataset,
        previous: tf.keras.Model | None = None,
    ) -> tf.keras.Model:
        """Builds the model of a stage; stage 2 starts from the weights of stage 1."""
        import zoo_extensions as zx

        latent = self.create_model(data, latent_weights=True)
        steps = data.steps_per_epoch
        total = self.stage_epochs()[stage] * steps
        if stage == 0:
            model = with_real_kernels(latent)
            optimizer = self.optimizer if self.is_latent else self.real_optimizer
            optimizer = self.build_optimizer(total, steps, optimizer)
            return self.compile(model, optimizer, data)
        if previous is None:
            raise ValueError("Stage 2 starts from the model of stage 1.")
        copy_weights(previous, latent)
        model = latent if self.is_latent else zx.to_latent_free(binarized(latent))
        return self.compile(model, self.build_optimizer(total, steps), data)

    def decayed(self, model: tf.keras.Model, stage: int) -> list[tf.Variable]:
        """Returns the variables that AdamBNN's code decays, in stage 1 alone."""
        return list(decayed(model)) if stage == 0 else []


def with_real_kernels(model: tf.keras.Model) -> tf.keras.Model:
    """Returns a model of the same layers without kernel quantizers.

    Args:
        model: A functional or sequential model with layers of Larq.

    Returns:
        The model with its weights, not compiled. Its activations stay binary.

    Example:
        >>> import zoo_extensions as zx
        >>> real = with_real_kernels(zx.TinyResidualBNN())
        >>> layer = real.get_layer("stage1_1_conv")
        >>> layer.kernel_quantizer, layer.input_quantizer is None
        (None, False)
    """

    def clone(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        config = layer.get_config()
        for kind in ("kernel", "depthwise", "pointwise", "embeddings"):
            if config.get(f"{kind}_quantizer") is not None:
                config[f"{kind}_quantizer"] = None
                config[f"{kind}_constraint"] = None
        return type(layer).from_config(config)

    copy = tf.keras.models.clone_model(model, clone_function=clone)
    copy_weights(model, copy)
    return copy


def decayed(model: tf.keras.Model) -> Iterator[tf.Variable]:
    """Yields the variables that AdamBNN's code decays.

    Args:
        model: A model of `zoo_extensions`.
    """
    import zoo_extensions as zx

    for layer in model.submodules:
        if isinstance(layer, zx.layers.Shift):
            yield layer.bias
        elif isinstance(layer, zx.layers.RPReLU):
            yield from (layer.shift_in, layer.shift_out)
        else:
            for name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
                kernel = getattr(layer, name, None)
                if isinstance(kernel, tf.Variable) and len(kernel.shape) == 4:
                    yield kernel
