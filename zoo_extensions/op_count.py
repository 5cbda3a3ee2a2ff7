"""Operations, parameters and memory of a counted network, by layer and in total."""

from __future__ import annotations

import dataclasses
from typing import Any

from zoo_extensions.markdown import markdown_table

# Binary multiplications that a processor does in the time of one other (paper 002).
BINARY_SPEEDUP = 64


@dataclasses.dataclass(frozen=True)
class LayerCount:
    """Operations, parameters and memory of one layer, for one input.

    A separable convolution has two of them, one for each kernel.

    Attributes:
        name: Name of the layer.
        kind: Its class, such as `"QuantConv2D"`.
        input_bits: Bits of its inputs: 32 if they are not quantized, or quantized to 0
            and 1; `None` for a layer that multiplies no kernel.
        kernel_bits: Bits of its kernel, likewise; of the second activation in a product
            of two, and of a table of word embeddings.
        kernel_shape: Shape of the kernel, or `None`.
        output_shape: Shape of its output without the batch, or `None` where the model
            did not call the layer.
        binary_macs: Multiplications of 1-bit inputs with 1-bit weights.
        float_macs: All its other multiplications with a kernel.
        ace: Each multiplication times the bits of its input times those of its kernel,
            where a real number has 16.
        parameters: Number of its weights, as Keras counts them.
        memory_bits: 1 bit for a 1-bit weight, 32 for each other value.
    """

    name: str
    kind: str
    input_bits: int | None
    kernel_bits: int | None
    kernel_shape: tuple[int, ...] | None
    output_shape: tuple[int | None, ...] | None
    binary_macs: int
    float_macs: int
    ace: int
    parameters: int
    memory_bits: int

    @property
    def ops(self) -> float:
        """Its operations, `binary_macs / 64 + float_macs`."""
        return self.binary_macs / BINARY_SPEEDUP + self.float_macs

    @property
    def macs(self) -> int:
        """All its multiplications."""
        return self.binary_macs + self.float_macs

    @property
    def is_table(self) -> bool:
        """Whether its kernel is a table of embeddings, which multiplies nothing."""
        return self.input_bits is None and self.kernel_bits is not None

    @property
    def bits(self) -> str:
        """Bits of inputs and kernel, such as `"1/1"`; `""` without a kernel.

        Those of a table of embeddings, which multiplies nothing, are `"1"` or `"32"`.
        """
        if self.kernel_bits is None:
            return ""
        if self.input_bits is None:
            return str(self.kernel_bits)
        return f"{self.input_bits}/{self.kernel_bits}"


@dataclasses.dataclass(frozen=True)
class OpCount:
    """Operations, parameters and memory of a model, by layer and in total.

    Attributes:
        model: Name of the model.
        layers: The layers that have weights or multiply two activations, in the order
            in which they are called.
        uncounted: Names of layers whose multiplications are not counted: it is not
            known how they use their weights, or they multiply their inputs with each
            other.
    """

    model: str
    layers: tuple[LayerCount, ...]
    uncounted: tuple[str, ...] = ()

    @property
    def bops(self) -> int:
        """Binary multiplications."""
        return sum(layer.binary_macs for layer in self.layers)

    @property
    def flops(self) -> int:
        """All other multiplications."""
        return sum(layer.float_macs for layer in self.layers)

    @property
    def ops(self) -> float:
        """Operations, `bops / 64 + flops`."""
        return self.bops / BINARY_SPEEDUP + self.flops

    @property
    def ace(self) -> int:
        """Arithmetic computation effort: the bit products of all multiplications.

        It is the sum of i * j over the multiplications of i-bit by j-bit values, where
        a real number has 16 bits, as bfloat16 does. So counted ReActNet-A has the
        published 7.9e9; with 32 bits it would have 17.0e9.

        References:
            [PokeBNN](https://arxiv.org/abs/2112.00133), section 3.
        """
        return sum(layer.ace for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Number of weights, as Keras counts them."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def memory_bits(self) -> int:
        """Bits of all weights."""
        return sum(layer.memory_bits for layer in self.layers)

    @property
    def mebibytes(self) -> float:
        """Size of all weights in 2^20 bytes."""
        return self.memory_bits / 8 / 2**20

    @property
    def last_dense(self) -> LayerCount | None:
        """The dense layer in which the model ends, or `None`.

        Paper 002 leaves it out of FLOPs and OPs, paper 003 does not.
        """
        multiplying = [layer for layer in self.layers if layer.macs]
        if multiplying and multiplying[-1].kind.endswith("Dense"):
            return multiplying[-1]
        return None

    def summary(self) -> str:
        """Returns the totals as one line."""
        return (
            f"{self.bops:,} binary MACs / {BINARY_SPEEDUP} + {self.flops:,} others = "
            f"{self.ops:,.0f} OPs; {self.ace:,} bit products (ACE); "
            f"{self.parameters:,} parameters in {self.mebibytes:.2f} MiB."
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the layers as texts, with a heading above and the total below.

        Layers without multiplications are one row, but for tables of embeddings.
        """
        rows: list[tuple[str, ...]] = [
            (
                "layer", "kind", "bits", "kernel", "output",
                "binary MACs", "float MACs", "share of OPs", "KiB",
            )
        ]  # fmt: skip
        others = [layer for layer in self.layers if not (layer.macs or layer.is_table)]
        for layer in self.layers:
            if layer.macs or layer.is_table:
                rows.append(
                    (
                        layer.name,
                        layer.kind,
                        layer.bits,
                        _times(layer.kernel_shape),
                        _times(layer.output_shape),
                        f"{layer.binary_macs:,}",
                        f"{layer.float_macs:,}",
                        f"{layer.ops / self.ops:.1%}",
                        f"{layer.memory_bits / 8 / 1024:,.1f}",
                    )
                )
        if others:
            kibibytes = sum(layer.memory_bits for layer in others) / 8 / 1024
            rows.append(
                (
                    f"{len(others)} others",
                    ", ".join(dict.fromkeys(layer.kind for layer in others)),
                    *[""] * 6,
                    f"{kibibytes:,.1f}",
                )
            )
        total = f"{self.bops:,}", f"{self.flops:,}", "100.0%" if self.ops else ""
        size = f"{self.memory_bits / 8 / 1024:,.1f}"
        rows.append(("total", *[""] * 4, *total, size))
        return rows

    def markdown(self) -> str:
        """Returns the count as a page of Markdown."""
        heading, *rows = self.rows()
        lines = [
            f"# Operations of {self.model}",
            "",
            self.summary(),
            "",
            markdown_table(heading, rows, "lllllrrrr"),
        ]
        if self.uncounted:
            names = ", ".join(self.uncounted)
            lines += ["", f"Multiplications of these are not counted: {names}."]
        return "\n".join([*lines, ""])

    def as_dict(self) -> dict[str, Any]:
        """Returns the count as plain data for JSON."""
        return {
            "model": self.model,
            "bops": self.bops,
            "flops": self.flops,
            "ops": self.ops,
            "ace": self.ace,
            "parameters": self.parameters,
            "memory_bits": self.memory_bits,
            "uncounted": list(self.uncounted),
            "layers": [
                {**dataclasses.asdict(layer), "ops": layer.ops} for layer in self.layers
            ],
        }


def _times(shape: tuple[int | None, ...] | None) -> str:
    return "" if shape is None else "x".join(map(str, shape))
