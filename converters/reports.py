"""What a conversion did, for people and for programs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from converters.auditing.audit import Audit
from converters.graph.kernels import RoundedKernel, rounded_kernels
from converters.rewrites import Rewrite
from converters.runtime import TensorInfo
from converters.verification.verify import Verification


@dataclasses.dataclass(frozen=True)
class Report:
    """The audit and the verification of a conversion.

    Attributes:
        model: Name of the Keras model.
        audit: What became of every layer.
        verification: The comparison, `None` where it was waived.
        float_bytes: Size of the same weights in float32: four times their number.
        messages: What the converter wrote, warnings and errors alone.
        rewrites: What was changed in the graph before, without a change of the
            function, and what that saved there.
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
        model: Any,
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
        content = dataclasses.asdict(self)
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
                rows.append(("outputs that moved", _ties(verification)))
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
        lines = [f"# Conversion of {self.model}", "", "| | |", "|---|---|"]
        lines += [f"| {label} | {text} |" for label, text in self.rows()]
        lines += ["", "## Layers", "", "| layer | kind | became |", "|---|---|---|"]
        for layer in self.audit.layers:
            became = "LceBconv2d"
            if layer.operator is None:
                became = f"float: {layer.reason}; {layer.fix}"
            lines.append(f"| {layer.name} | {layer.kind} | {became} |")
        lines += ["", "## Inputs and outputs", ""]
        lines += ["| | name | shape | type |", "|---|---|---|---|"]
        for side in ("input", "output"):
            lines += [
                f"| {side} | {info.name} | {info.shape} | {info.dtype}{_steps(info)} |"
                for info in getattr(self.audit, f"{side}s")
            ]
        lines += ["", "## Bytes of the file", ""]
        lines += ["| part | predicted | in the file |", "|---|--:|--:|"]
        lines += [f"| {' | '.join(row)} |" for row in _bytes(self.audit)]
        lines += [
            "",
            "## Operators of the file",
            "",
            "| operator | count |",
            "|---|--:|",
        ]
        lines += [f"| {name} | {n} |" for name, n in self.audit.operators.items()]
        if self.audit.real_valued:
            lines += [
                "",
                "## Real-valued operators",
                "",
                "| operator | layer | computed in |",
                "|---|---|---|",
            ]
            for operator in self.audit.real_valued:
                why = f": {operator.reason}" if operator.reason else ""
                lines.append(
                    f"| {operator.name} | {operator.layer} | {operator.dtype}{why} |"
                )
        if self.rewrites:
            lines += [
                "",
                "## Rewritten before",
                "",
                "Sizes are of the graph before the conversion, not of the file.",
                "",
                "| rewrite | layers | operations | bytes of constants |",
                "|---|---|--:|--:|",
            ]
            for rewrite in self.rewrites:
                before, after = rewrite.before, rewrite.after
                lines.append(
                    f"| {rewrite.name} | {', '.join(rewrite.changed)} "
                    f"| {before.operations:,} → {after.operations:,} "
                    f"| {before.constant_bytes:,} → {after.constant_bytes:,} |"
                )
        if self.rounded:
            lines += ["", "## Kernels that were signs but for rounding", ""]
            lines += ["| layer | weights | off by at most |", "|---|--:|--:|"]
            lines += [
                f"| {entry.layer} | {entry.weights:,} | {entry.farthest:.1e} |"
                for entry in self.rounded
            ]
        if self.messages:
            lines += ["", "## Messages of the converter", ""]
            lines += [f"    {message}" for message in self.messages]
        return "\n".join([*lines, ""])


def _times(verification: Verification) -> list[tuple[str, str]]:
    """Returns the time in the interpreter that users get, and in the second one."""
    number = verification.num_threads
    threads = f"{number} thread" if number == 1 else f"{number} threads"
    text = f"{verification.milliseconds:.3f} ms ({threads}) by {verification.runner}"
    rows = [("time per input", text)]
    witness = verification.witness
    if witness is not None:
        text = (
            f"{witness.milliseconds:.3f} ms, outputs differ by "
            f"{witness.largest_difference:.1e}, {witness.changed:,} of "
            f"{verification.samples:,} {verification.answers} are others"
        )
        rows.append((f"the same in {witness.runner}", text))
    return rows


def _steps(info: TensorInfo) -> str:
    if info.scale is None:
        return ""
    return f", scale {info.scale!r}, zero point {info.zero_point}"


def _bytes(audit: Audit) -> list[tuple[str, str, str]]:
    """Returns what the bytes of a file are for; they add up to its size."""
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


def _ties(verification: Verification) -> str:
    moved, unexplained = verification.moved, verification.unexplained
    if not moved:
        return "none"
    if unexplained is None:
        return f"{moved:,}; whether values near zero explain them is unknown"
    if unexplained:
        return f"{moved:,}, of which {unexplained:,} without a sign near zero"
    return f"{moved:,}, each with a sign so near zero that rounding turns it"
