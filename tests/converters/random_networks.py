"""Networks of random layers in random order, for hypothesis."""

import larq as lq
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

import zoo_extensions as zx
from converters.model_arrays import input_names

from .small_models import free, no_op, train

layers = tf.keras.layers

SIZES = (1, 2, 3, 4, 5, 6, 7, 9)
CHANNELS = (1, 3, 8, 16, 31, 32, 33, 64)
SIGNS = ("ste_sign", "approx_sign", "swish_sign")


class Network:
    """Draws a network layer by layer.

    Args:
        draw: Draws from a strategy, as `data.draw` of hypothesis.

    Attributes:
        lines: What was drawn, for people.
    """

    def __init__(self, draw):
        self._draw = draw
        self.lines = []
        self._binary = 0

    def pick(self, *values):
        return self._draw(st.sampled_from(values))

    def note(self, layer, **options):
        """Builds a layer of what is said in the notes."""
        text = ", ".join(f"{name}={value!r}" for name, value in options.items())
        self.lines.append(f"{layer.__name__}({text})")
        return layer(**options)

    def model(self):
        """Returns a model with weights as after training."""
        tf.keras.backend.clear_session()
        tf.keras.utils.set_random_seed(self._draw(st.integers(0, 99)))
        kind = self.pick("image", "image", "image", "image", "vector", "sequence")
        channels = self.pick(*CHANNELS)
        if kind == "image":
            shape, step = (
                (self.pick(*SIZES), self.pick(*SIZES), channels),
                self.on_image,
            )
        elif kind == "vector":
            shape, step = (channels,), self.on_vector
        else:
            shape, step = (self.pick(*SIZES), channels), self.on_sequence
        inputs = []
        x = self.input(shape, "first", inputs)
        if self.pick(True, False, False, False):
            another = self.input(shape, "another", inputs)
            x = layers.Add()([x, self.scaled(another)])
            inputs = self.ordered(inputs)
        middle = []
        for _ in range(self.pick(1, 2, 3, 4, 5)):
            x = step(x)
            middle.append(x)
        if kind == "image" and (x.shape[1] == 1 or self.pick(True, False)):
            x = self.to_vector(x)
            if self.pick(True, False):
                x = self.on_vector(x)
        if not self._binary:
            x = self.dense(x)
        outputs = [x]
        if len(middle) > 1 and self.pick(True, False, False, False):
            self.lines.append("and the second tensor")
            outputs.append(layers.Flatten(name="early")(middle[1]))
        if self.pick(True, False, False, False, False):
            outputs.append(self.of_unknown_size(x))
        if self.pick(True, *[False] * 7):
            self.lines.append("and its mean over the batch")
            outputs.append(tf.reduce_mean(x, axis=0))
        if len(outputs) > 1 and self.pick(True, False, False):
            self.lines.append("by name")
            outputs = {f"out{-i}": output for i, output in enumerate(outputs)}
        model = tf.keras.Model(inputs, outputs)
        train(model)
        return model

    # Inputs and outputs.

    def input(self, shape, name, inputs):
        """Adds an input of any type to a list and returns it as real numbers."""
        dtype = self.pick(*["float32"] * 8, "uint8", "int8", "int32", "bool", "float64")
        self.lines.append(f"Input({shape}, dtype={dtype!r}, name={name!r})")
        inputs.append(tf.keras.Input(shape, dtype=dtype, name=name))
        if dtype == "float32":
            return inputs[-1]
        if dtype == "bool":
            return tf.cast(inputs[-1], tf.float32) - 0.4
        return layers.Rescaling(1 / 50, -0.7)(inputs[-1])

    def ordered(self, inputs):
        """Returns inputs in the other order, or by other names."""
        kind = self.pick("as made", "turned", "turned", "by name")
        self.lines.append(f"inputs {kind}")
        if kind == "by name":
            return {"z": inputs[0], "a": inputs[1]}
        return inputs if kind == "as made" else inputs[::-1]

    def of_unknown_size(self, x):
        self.lines.append("and the same reshaped by its own shape")
        kind = self.pick("rows", "rank")
        if kind == "rows":
            return tf.reshape(x, [tf.shape(x)[0], -1, x.shape[-1]])
        return tf.reshape(x, tf.concat([tf.shape(x)[:1], [-1]], 0))

    # Steps.

    def on_image(self, x):
        step = self.pick(
            *[self.conv] * 8,
            *[self.norm] * 4,
            *[self.activation] * 2,
            *[self.pool] * 2,
            self.residual,
            self.residual,
            self.twice,
            self.joined,
            self.moved,
            self.scaled,
            self.padded,
            self.float_conv,
            self.depthwise,
            self.signed,
            self.by_place,
        )
        return step(x)

    def on_sequence(self, x):
        return self.pick(
            self.conv_over_time,
            self.conv_over_time,
            self.dense,
            self.norm,
            self.activation,
            self.signed,
            self.scaled,
        )(x)

    def on_vector(self, x):
        return self.pick(
            self.dense,
            self.dense,
            self.norm,
            self.norm,
            self.float_dense,
            self.activation,
            self.signed,
            self.scaled,
        )(x)

    def quantizers(self, x):
        """Returns the inputs, signed before perhaps, and options of a binary layer."""
        self._binary += 1
        kind = self.pick(*SIGNS, *["ste_sign"] * 6, "layer", "rsign", "rare")
        options = {"input_quantizer": kind, "use_bias": self.pick(False, False, True)}
        if kind == "layer":
            x = self.signed(x)
            options["input_quantizer"] = self.pick(None, no_op())
        elif kind == "rsign":
            x = self.note(zx.layers.RSign)(x)
            options["input_quantizer"] = no_op()
        elif kind == "rare":
            options["input_quantizer"] = self.pick(
                None,
                "ste_tern",
                "magnitude_aware_sign",
                "ste_heaviside",
                "dorefa_quantizer",
            )
        kind = self.pick(*SIGNS, "free", "free", "free", "rare")
        options["kernel_quantizer"] = kind
        if kind == "free":
            # Sums of these are exact, so that no zero becomes a tie.
            options |= free(self.pick(1.0, 1.0, 1 / 64, 4.0))
        elif kind == "rare":
            options["kernel_quantizer"] = self.pick(
                None, "magnitude_aware_sign", "ste_tern", no_op()
            )
            options["use_bias"] = True
        return x, options

    def window(self, x, sizes=(1, 2, 3, 3, 5)):
        """Draws size, stride, padding and dilation of a kernel."""
        size = self.pick(*sizes), self.pick(*sizes)
        if self.pick(True, True, False):
            size = size[:1] * 2
        strides = self.pick((1, 1), (1, 1), (2, 2), (2, 2), (3, 3), (1, 2))
        dilation = self.pick((1, 1), (1, 1), (1, 1), (2, 2), (1, 3))
        if max(strides) > 1:
            dilation = (1, 1)
        options = {"kernel_size": size, "strides": strides, "dilation_rate": dilation}
        fits = all(
            d * (k - 1) + 1 <= n for n, k, d in zip(x.shape[1:3], size, dilation)
        )
        options["padding"] = self.pick("valid", "same", "same") if fits else "same"
        return options

    def groups(self, x, filters):
        groups = self.pick(1, 1, 1, 2, 4)
        return groups if x.shape[-1] % groups == filters % groups == 0 else 1

    def conv(self, x, **fixed):
        layer, x = self.conv_layer(x, **fixed)
        return layer(x)

    def conv_layer(self, x, **fixed):
        """Returns a layer, and what it reads."""
        x, options = self.quantizers(x)
        filters = self.pick(*CHANNELS)
        options |= {"filters": filters, **self.window(x), **fixed}
        options["pad_values"] = self.pick(0.0, 0.0, 1.0, 1.0, -1.0)
        options["groups"] = self.groups(x, options["filters"])
        options["activation"] = self.pick(None, None, None, None, "relu")
        return self.note(lq.layers.QuantConv2D, **options), x

    def conv_over_time(self, x):
        x, options = self.quantizers(x)
        size = self.pick(1, 2, 3, 5)
        fits = size <= x.shape[1]
        options |= {
            "filters": self.pick(*CHANNELS),
            "kernel_size": size,
            "strides": self.pick(1, 1, 2),
            "padding": self.pick("valid", "same", "same") if fits else "same",
            "pad_values": self.pick(0.0, 1.0, -1.0),
        }
        return self.note(lq.layers.QuantConv1D, **options)(x)

    def dense(self, x):
        x, options = self.quantizers(x)
        options["units"] = self.pick(*CHANNELS)
        return self.note(lq.layers.QuantDense, **options)(x)

    def depthwise(self, x):
        self._binary += 1
        options = self.window(x)
        if options["strides"][0] != options["strides"][1]:
            options["strides"] = (1, 1)
        options |= {
            "input_quantizer": self.pick("ste_sign", None),
            "depthwise_quantizer": "ste_sign",
            "pad_values": self.pick(0.0, 1.0),
        }
        return self.note(lq.layers.QuantDepthwiseConv2D, **options)(x)

    def float_conv(self, x):
        filters = self.pick(*CHANNELS)
        options = {"filters": filters, **self.window(x)}
        options["groups"] = self.groups(x, filters)
        return self.note(layers.Conv2D, **options)(x)

    def float_dense(self, x):
        return self.note(layers.Dense, units=self.pick(*CHANNELS))(x)

    def norm(self, x):
        options = {"scale": self.pick(True, True, False)}
        return self.note(layers.BatchNormalization, **options)(x)

    def activation(self, x):
        kind = self.pick("relu", "relu6", "prelu", "rprelu", "leaky", "clip", "elu")
        if kind == "rprelu" and len(x.shape) == 4:
            return self.note(zx.layers.RPReLU)(x)
        if kind in ("prelu", "rprelu"):
            axes = range(1, len(x.shape))
            shared = [axis for axis in axes if self.pick(True, True, False)] or None
            return self.note(layers.PReLU, shared_axes=shared)(x)
        layer, options = {
            "relu": (layers.ReLU, {}),
            "relu6": (layers.ReLU, {"max_value": 6.0}),
            "leaky": (layers.LeakyReLU, {}),
            "clip": (zx.layers.HardTanh, {}),
            "elu": (layers.ELU, {}),
        }[kind]
        return self.note(layer, **options)(x)

    def signed(self, x):
        return self.note(self.pick(lq.quantizers.SteSign, lq.quantizers.ApproxSign))(x)

    def scaled(self, x):
        factor = self.pick(0.5, 3.0, -1.0)
        return self.note(layers.Rescaling, scale=factor, offset=self.pick(0.0, 0.1))(x)

    def by_place(self, x):
        self.lines.append("+ one number for each place")
        shape = tuple(x.shape)[1 : self.pick(3, 4)]
        shape += (1,) * (3 - len(shape))
        values = np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32)
        return x * values if self.pick(True, False) else x - values

    def pool(self, x):
        layer = self.pick(layers.MaxPool2D, layers.MaxPool2D, layers.AveragePooling2D)
        size = self.pick(2, 3)
        padding = self.pick("valid", "same") if min(x.shape[1:3]) >= size else "same"
        strides = self.pick(1, 2, 2)
        return self.note(layer, pool_size=size, strides=strides, padding=padding)(x)

    def padded(self, x):
        by = self.pick(1, ((1, 0), (1, 0)), ((0, 1), (0, 1)), ((2, 1), (1, 2)))
        return self.note(layers.ZeroPadding2D, padding=by)(x)

    def moved(self, x):
        _, height, width, channels = x.shape
        kinds = ["turned", "slice"]
        kinds += ["shuffle"] if channels % 2 == 0 else []
        kinds += ["crop"] if min(height, width) > 2 else []
        kind = self.pick(*kinds)
        if kind == "turned":
            shape = (width, height, channels)
            return self.note(layers.Reshape, target_shape=shape)(x)
        if kind == "shuffle":
            return self.note(zx.layers.ChannelShuffle, groups=2)(x)
        if kind == "crop":
            return self.note(layers.Cropping2D, cropping=1)(x)
        self.lines.append("every other pixel")
        return x[:, ::2, ::2]

    def residual(self, x):
        self.lines.append("sum of (")
        y = self.conv(x, strides=(1, 1), padding="same", filters=x.shape[-1])
        if self.pick(True, False):
            y = self.norm(y)
        self.lines.append(") and what was before")
        return layers.Add()([x, y])

    def twice(self, x):
        """One layer on a tensor and on its own result."""
        fixed = {"strides": (1, 1), "padding": "same", "filters": x.shape[-1]}
        layer, x = self.conv_layer(x, **fixed)
        self.lines.append("the last layer once more")
        return layer(layer(x))

    def joined(self, x):
        self.lines.append("joined (")
        y = self.pick(self.norm, self.scaled, self.signed, self.activation)(x)
        other = self.signed(x) if self.pick(True, False) else x
        self.lines.append(") with what was before")
        return layers.Concatenate()([other, y])

    def to_vector(self, x):
        layer = self.pick(layers.Flatten, layers.GlobalAveragePooling2D)
        return self.note(layer)(x)


def inputs_of(model, samples=8):
    """Returns random inputs by name."""
    generator = np.random.default_rng(5)

    def numbers(tensor):
        shape, dtype = (samples, *tensor.shape[1:]), tensor.dtype
        if dtype.is_floating:
            return generator.normal(size=shape).astype(np.float32)
        most = 2 if dtype.is_bool else 100
        return generator.integers(0, most, shape).astype(dtype.as_numpy_dtype)

    return dict(zip(input_names(model), map(numbers, model.inputs)))
