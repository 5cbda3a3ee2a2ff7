"""Binary convolutions by definition, in integers and float64."""

import dataclasses
import math

import numpy as np

from .files import file_of, packed

ACTIVATIONS = [(-math.inf, math.inf), (0, math.inf), (-1, 1), (0, 6)]


@dataclasses.dataclass(frozen=True)
class Case:
    """One convolution. `activation` is its number in the file."""

    batch: int = 1
    height: int = 5
    width: int = 6
    channels_in: int = 32
    channels_out: int = 32
    groups: int = 1
    filter_height: int = 3
    filter_width: int = 3
    stride_height: int = 1
    stride_width: int = 1
    dilation_height: int = 1
    dilation_width: int = 1
    same: bool = True
    pad_ones: bool = False
    activation: int = 0
    output: str = "float32"
    scale: float = 0.5
    zero_point: int = 3

    def out_size(self):
        """Returns height and width of the output, below 1 if there is none."""
        found = []
        for size, filter_size, stride, dilation in self._axes():
            reach = (filter_size - 1) * dilation + 1
            found.append(
                -(-size // stride) if self.same else (size - reach) // stride + 1
            )
        return tuple(found)

    def _axes(self):
        return (
            (self.height, self.filter_height, self.stride_height, self.dilation_height),
            (self.width, self.filter_width, self.stride_width, self.dilation_width),
        )

    def operands(self, seed):
        """Returns signs of input and filter, multiplier, bias and thresholds."""
        generator = np.random.default_rng(seed)

        def signs(*shape):
            return generator.choice([-1, 1], shape)

        image = signs(self.batch, self.height, self.width, self.channels_in)
        kernel = signs(
            self.channels_out,
            self.filter_height,
            self.filter_width,
            self.channels_in // self.groups,
        )
        area = kernel[0].size
        multiplier = generator.normal(size=self.channels_out).astype(np.float32)
        bias = generator.normal(size=self.channels_out).astype(np.float32)
        # Thresholds are compared with the popcount.
        thresholds = generator.integers(0, area + 1, self.channels_out).astype(np.int32)
        extremes = [np.iinfo(np.int32).min, np.iinfo(np.int32).max]
        thresholds[:2] = extremes[: self.channels_out]
        return image, kernel, multiplier, bias, thresholds

    def sums(self, image, kernel):
        """Returns the convolution in integers, padded with 0 or 1."""
        outside = 1 if self.pad_ones else 0
        pads = [(0, 0)]
        for (size, filter_size, stride, dilation), out in zip(
            self._axes(), self.out_size()
        ):
            reach = (out - 1) * stride + (filter_size - 1) * dilation + 1
            total = max(0, reach - size) if self.same else 0
            pads.append((total // 2, total - total // 2))
        image = np.pad(image, [*pads, (0, 0)], constant_values=outside)
        out_height, out_width = self.out_size()
        result = np.zeros((self.batch, out_height, out_width, self.channels_out), int)
        group_in = self.channels_in // self.groups
        group_out = self.channels_out // self.groups
        for group in range(self.groups):
            channels = slice(group * group_in, (group + 1) * group_in)
            filters = slice(group * group_out, (group + 1) * group_out)
            for y in range(self.filter_height):
                for x in range(self.filter_width):
                    top, left = y * self.dilation_height, x * self.dilation_width
                    part = image[
                        :,
                        top : top + out_height * self.stride_height,
                        left : left + out_width * self.stride_width,
                        channels,
                    ][:, :: self.stride_height, :: self.stride_width]
                    part = part[:, :out_height, :out_width]
                    result[..., filters] += part @ kernel[filters, y, x].T
        return result

    def answer(self, operands):
        """Returns the expected output: words, int8 or float64."""
        image, kernel, multiplier, bias, thresholds = operands
        sums = self.sums(image, kernel)
        if self.output == "bits":
            differing = (kernel[0].size - sums) / 2
            return packed(np.where(differing > thresholds, -1, 1))
        low, high = ACTIVATIONS[self.activation]
        real = np.clip(sums, low, high) * multiplier.astype(float) + bias
        if self.output == "float32":
            return real
        steps = self.steps(operands)
        return np.trunc(steps + np.copysign(0.5, steps)).clip(-128, 127)

    def steps(self, operands):
        """Returns an int8 output before it is rounded."""
        real = dataclasses.replace(self, output="float32").answer(operands)
        return real / self.scale + self.zero_point

    def file(self, operands):
        """Returns the file."""
        image, kernel, multiplier, bias, thresholds = operands
        height, width = (max(1, size) for size in self.out_size())
        bits = self.output == "bits"
        words = -(-self.channels_out // 32)
        shape = (self.batch, height, width, words if bits else self.channels_out)
        output = {
            "bits": (shape, np.int32),
            "float32": (shape, np.float32),
            "int8": (shape, np.int8, (self.scale, self.zero_point)),
        }[self.output]
        return file_of(
            "LceBconv2d",
            [
                (packed(image).shape, np.int32),
                packed(kernel),
                None if bits else multiplier,
                None if bits else bias,
                thresholds if bits else None,
            ],
            output,
            {
                "channels_in": self.channels_in,
                "dilation_height_factor": self.dilation_height,
                "dilation_width_factor": self.dilation_width,
                "fused_activation_function": self.activation,
                "pad_values": int(self.pad_ones),
                "padding": 0 if self.same else 1,
                "stride_height": self.stride_height,
                "stride_width": self.stride_width,
            },
        )
