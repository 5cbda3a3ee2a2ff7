"""The report of a conversion: its audit and verification as Markdown and JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from converters.auditing.audit import Audit
from converters.auditing.products import REASON
from converters.graph.kernels import RoundedKernel, rounded_kernels
from converters.renamed import plain
from converters.rewrites import Rewrite
from converters.runtime import TensorInfo
from converters.tables import markdown_table, thread_count
from converters.verification.result import Verification


@dataclasses.dataclass(frozen=True)
class Report:
    """The audit and the verification of a conversion.

    Attributes:
        model: Name of the Keras model.
        audit: The layers of the model beside the operators of the file.
        verification: The comparison, `None` where it was waived.
        float_bytes: Size of the same weights in float32: four times their number.
        messages: What the converter wrote, warnings and errors alone.
        rewrites: The rewrites of the graph before the conversion, and what they saved
            there.
        rounded: Kernels that became signs by a change within float rounding.
    """

    model: str
    audit: Audit
    verification: Verification | None
    float_bytes: int
    messages: tuple[str, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    rounded: tuple[RoundedKernel, ...] = ()

    @classmethod
    def of(
        cls,
        model: tf.keras.Model,
        audit: Audit,
        verification: Verification | None,
        messages: tuple[str, ...] = (),
        rewrites: tuple[Rewrite, ...] = (),
    ) -> Report:
        """Returns the report of a file.

        Args:
            model: The Keras model that was converted.
            audit: The layers of the model beside the operators of the file.
            verification: The comparison, `None` where it was waived.
            messages: What the converter wrote.
            rewrites: What was rewritten.
        """
        return cls(
            model=model.name,
            audit=audit,
            verification=verification,
            float_bytes=4 * sum(int(np.prod(weight.shape)) for weight in model.weights),
            messages=messages,
            rewrites=rewrites,
            rounded=rounded_kernels(model),
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the report as plain data for JSON."""
        content = plain(self)
        for info in (*content["audit"]["inputs"], *content["audit"]["outputs"]):
            info["dtype"] = str(info["dtype"])
        content["audit"]["metadata_bytes"] = self.audit.metadata_bytes
        content["compared"] = self.verification is not None
        if self.verification is not None:
            content["verification"]["passed"] = self.verification.passed
            content["verification"]["outcome"] = self.verification.outcome
            content["verification"]["verdict"] = self.verification.verdict
        return content

    def rows(self) -> list[tuple[str, str]]:
        """Returns the main figures as pairs of a label and a text."""
        audit, verification = self.audit, self.verification
        rows = []
        if verification is not None and verification.keras_accuracy is not None:
            rows += [
                ("accuracy in Keras", f"{verification.keras_accuracy:.2%}"),
                ("accuracy of the .tflite", f"{verification.tflite_accuracy:.2%}"),
            ]
        if verification is not None:
            rows += [
                (
                    f"equal {verification.answers}",
                    f"{verification.agreement:.2%} of {verification.samples:,}",
                ),
                (
                    "difference of outputs",
                    f"median {verification.median_difference:.1e}, "
                    f"largest {verification.largest_difference:.1e}",
                ),
            ]
            if not verification.int8:
                rows.append(("outputs that differ", _mismatched(verification)))
            rows.append(("layer by layer", verification.verdict))
        else:
            rows.append(("comparison with Keras", "not compared: no inputs were given"))
        rows += [
            ("size of the .tflite", f"{audit.num_bytes:,} bytes"),
            ("the same in float32", f"{self.float_bytes:,} bytes"),
            (
                "binary layers converted",
                f"{len(audit.converted)} of {len(audit.layers)}",
            ),
        ]
        rows += [
            (
                f"table of {table.layer} as bits",
                f"{table.num_bytes:,} bytes, {table.float_bytes:,} in float32",
            )
            for table in audit.embeddings
        ]
        if audit.products:
            rows.append(("products of two activations", _products(audit)))
        if audit.real_valued:
            int8 = sum(operator.dtype == "int8" for operator in audit.real_valued)
            rows.append(
                ("real-valued operators in int8", f"{int8} of {len(audit.real_valued)}")
            )
        if verification is not None:
            rows += _times(verification)
        return rows

    def markdown(self) -> str:
        """Returns the report as a page of Markdown."""
        sections = {
            f"# Conversion of {self.model}": markdown_table(("", ""), self.rows()),
            "## Layers": _layers(self.audit),
            "## Inputs and outputs": _inputs_and_outputs(self.audit),
            "## Bytes of the file": markdown_table(
                ("part", "predicted", "in the file"),
                _bytes(self.audit),
                ("predicted", "in the file"),
            ),
            "## Operators of the file": markdown_table(
                ("operator", "count"), self.audit.operators.items(), ("count",)
            ),
        }
        if self.audit.products:
            sections["## Products of two activations"] = _product_table(self.audit)
        if self.audit.real_valued:
            sections["## Real-valued operators"] = _real_valued(self.audit)
        if self.rewrites:
            sections["## Rewritten before"] = _rewritten(self.rewrites)
        if self.rounded:
            sections["## Kernels that were signs but for rounding"] = markdown_table(
                ("layer", "weights", "off by at most"),
                [
                    (k.layer, f"{k.weights:,}", f"{k.farthest:.1e}")
                    for k in self.rounded
                ],
                ("weights", "off by at most"),
            )
        if self.messages:
            lines = [f"    {message}" for message in self.messages]
            sections["## Messages of the converter"] = lines
        pages = [
            "\n".join([heading, "", *lines]) for heading, lines in sections.items()
        ]
        return "\n\n".join(pages) + "\n"


def _layers(audit: Audit) -> list[str]:
    rows = [
        (
            layer.name,
            layer.kind,
            "LceBconv2d"
            if layer.operator is not None
            else f"float: {layer.reason}; {layer.fix}",
        )
        for layer in audit.layers
    ]
    return markdown_table(("layer", "kind", "became"), rows)


def _inputs_and_outputs(audit: Audit) -> list[str]:
    rows = [
        (side, info.name, info.shape, f"{info.dtype}{_quantization(info)}")
        for side, infos in (("input", audit.inputs), ("output", audit.outputs))
        for info in infos
    ]
    return markdown_table(("", "name", "shape", "type"), rows)


def _products(audit: Audit) -> str:
    """Returns what the products of two activations cost, in words."""
    macs = sum(product.macs for product in audit.products)
    share = sum(product.share for product in audit.products)
    number = len(audit.products)
    subject = "1 stays" if number == 1 else f"{number} stay"
    return f"{subject} float, {macs:,} multiply-accumulates, {share:.1%} of all"


def _product_table(audit: Audit) -> list[str]:
    rows = [
        (
            product.layer,
            "signs" if product.is_binary else "real numbers",
            f"{product.macs:,}",
            f"{product.share:.1%}",
        )
        for product in audit.products
    ]
    heading = ("layer", "of", "multiply-accumulates", "of all")
    return [
        f"They are computed in real numbers: {REASON}.",
        "",
        *markdown_table(heading, rows, heading[2:]),
    ]


def _real_valued(audit: Audit) -> list[str]:
    rows = [
        (
            operator.name,
            operator.layer,
            operator.dtype + (f": {operator.reason}" if operator.reason else ""),
        )
        for operator in audit.real_valued
    ]
    return markdown_table(("operator", "layer", "computed in"), rows)


def _rewritten(rewrites: tuple[Rewrite, ...]) -> list[str]:
    rows = [
        (
            rewrite.name,
            ", ".join(rewrite.changed),
            f"{rewrite.before.operations:,} → {rewrite.after.operations:,}",
            f"{rewrite.before.constant_bytes:,} → {rewrite.after.constant_bytes:,}",
        )
        for rewrite in rewrites
    ]
    heading = ("rewrite", "layers", "operations", "bytes of constants")
    return [
        "Sizes are of the graph before the conversion, not of the file.",
        "",
        *markdown_table(heading, rows, heading[2:]),
    ]


def _times(verification: Verification) -> list[tuple[str, str]]:
    """Returns the time in the interpreter that users get, and in the second one."""
    threads = thread_count(verification.num_threads)
    text = (
        f"{verification.milliseconds:.3f} ms ({threads}) by {verification.backend_name}"
    )
    rows = [("time per input", text)]
    witness = verification.witness
    if witness is not None:
        text = (
            f"{witness.milliseconds:.3f} ms, outputs differ by "
            f"{witness.largest_difference:.1e}, {witness.changed:,} of "
            f"{verification.samples:,} {verification.answers} differ"
        )
        rows.append((f"the same in {witness.backend_name}", text))
    return rows


def _quantization(info: TensorInfo) -> str:
    """Returns scale and zero point of a quantized tensor, in words."""
    if info.scale is None:
        return ""
    return f", scale {info.scale!r}, zero point {info.zero_point}"


def _bytes(audit: Audit) -> list[tuple[str, str, str]]:
    """Returns the parts of a file and their bytes, which add up to its size."""
    rows = []
    for entry in audit.binary:
        part = ", ".join(entry.layers) or f"operator {entry.operator}"
        if entry.shared_bytes:
            part += f" (and {entry.shared_bytes:,} of an earlier one)"
        predicted = entry.predicted_bytes
        expected = "" if predicted is None else f"{predicted:,}"
        rows.append((part, expected, f"{entry.num_bytes:,}"))
    return [
        *rows,
        ("other constants", "", f"{audit.other_bytes:,}"),
        ("description of the graph", "", f"{audit.metadata_bytes:,}"),
        ("the file", "", f"{audit.num_bytes:,}"),
    ]


def _mismatched(verification: Verification) -> str:
    mismatched = verification.mismatched
    unexplained = verification.unexplained_mismatches
    if not mismatched:
        return "none"
    if unexplained is None:
        return f"{mismatched:,}; whether values near zero explain them is unknown"
    if unexplained:
        return f"{mismatched:,}, of which {unexplained:,} without a value near zero"
    return (
        f"{mismatched:,}, each with a value so near zero that rounding flips its sign"
    )
