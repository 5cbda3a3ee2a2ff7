"""The result of a verification: how a file and its model compare, and the verdict."""

from __future__ import annotations

import dataclasses

from converters.comparison import (
    LARGEST_INT8_LOSS,
    LARGEST_MEDIAN_DIFFERENCE,
    LARGEST_OUTPUT_DIFFERENCE,
    LARGEST_SHARE_FLIPPED,
    LEAST_AGREEMENT,
    LEAST_INT8_AGREEMENT,
)
from converters.renamed import with_old_names
from converters.verification.signs import LayerParity
from converters.verification.steps import StepParity
from converters.verification.witness import Witness

# A sign that rounding flips changes all later layers. In a network of millions of signs
# that changes one prediction in a hundred, which is no fault. Where it changes more
# than these, the answers depend on rounding.
LARGEST_SHARE_CHANGED = 0.05
_FEW_CHANGED = 2


UNDETERMINED = "the network is undetermined"
_CURE = (
    "Put a batch normalization or a bias before those signs and train it, so that "
    "sums are not zero there; where kernels have scales, convert "
    "zoo_extensions.to_latent_free(model), whose sums are exact. To see what becomes "
    "of a network that is not trained, give inputs=None; allow_undetermined=True takes "
    "it as it is."
)


@with_old_names(
    first_wrong="first_mismatch",
    moved="mismatched",
    moved_with_tie="mismatched_near_zero",
    unexplained="unexplained_mismatches",
    runner="backend_name",
)
@dataclasses.dataclass(frozen=True)
class Verification:
    """The outputs of a Keras model beside those of a file, on the same inputs.

    Both compute in float32, in different orders, so most values differ by rounding. A
    sign whose value is near zero may flip, and then all later layers differ although
    nothing is wrong. Therefore each layer is compared on the signs that the file itself
    computed before it.

    Attributes:
        samples: Number of inputs.
        layers: For each layer with a sign, how many of its signs differ, and by what.
        untraced: Layers whose signs cannot be followed into the file.
        first_mismatch: The first layer whose signs differ by more than rounding, or
            `None`.
        output_difference: Largest difference of the outputs given equal signs, relative
            to the largest output; `None` where it is not known.
        median_difference: Median over the inputs of the largest difference of the
            outputs, relative to the largest output. Flips near zero are in it.
        largest_difference: The largest of these differences.
        agreement: Share of inputs with equal answers: the largest class, or for other
            outputs a difference below 1e-3 (in int8 see `passed`).
        mismatched: Number of inputs whose difference is larger than 1e-4.
        mismatched_near_zero: How many of those have a sign that flipped near zero;
            `None` where signs cannot be followed.
        unexplained_mismatches: How many of them have no value within 1e-5 of zero
            before a sign, so that no rounding explains them; `None` where signs cannot
            be followed.
        not_finite: Number of inputs to which the model, or the file, gives an output
            that is NaN or infinite.
        keras_accuracy: Accuracy of the Keras model, `None` without labels.
        tflite_accuracy: Accuracy of the file, `None` without labels.
        milliseconds: Mean time of the file for one input.
        num_threads: Threads it ran with.
        backend_name: What ran it: the interpreter that `Interpreter(file)` is here.
        classes: Whether all outputs are scores of classes.
        int8: Whether the file holds 8-bit tensors.
        steps: The 8-bit tensors beside those of the graph that was converted, `None`
            where there are none or that graph is not at hand.
        changed: Number of inputs with another answer: another largest class, or for
            other outputs a difference whose root mean square is more than a quarter of
            theirs.
        witness: The file in Larq Compute Engine's interpreter, `None` where that is
            the first one or is not installed.
    """

    samples: int
    layers: tuple[LayerParity, ...]
    untraced: tuple[str, ...]
    first_mismatch: str | None
    output_difference: float | None
    median_difference: float
    largest_difference: float
    agreement: float
    mismatched: int
    mismatched_near_zero: int | None
    unexplained_mismatches: int | None
    not_finite: int
    keras_accuracy: float | None
    tflite_accuracy: float | None
    milliseconds: float
    num_threads: int
    backend_name: str
    classes: bool
    int8: bool = False
    steps: StepParity | None = None
    changed: int = 0
    witness: Witness | None = None

    @property
    def outcome(self) -> str:
        """`"passed"`, `"undetermined"` or `"failed"`.

        A network is undetermined where the file is right and yet the two answer
        differently, because values before signs are zero but for rounding: in the
        layers of `undetermined`, or in so many places that more than 5 % of the answers
        differ or the accuracy is more than 2 points lower. Then the predictions of
        Keras are as accidental as those of the file.
        """
        if self._has_fault:
            return "failed"
        return "undetermined" if self._depends_on_rounding else "passed"

    @property
    def passed(self) -> bool:
        """Whether the file computes what the model computes.

        All outputs are finite. Signs differ only near zero, given equal signs the
        outputs agree to 1e-4, and every input with a larger difference has a value near
        zero. Flips are few, see `outcome`: at most 0.1 % of the signs of a layer (eight
        are always allowed), and at most 5 % of the answers differ. In a second
        interpreter, where there is one, nothing but rounding differs either; see
        `remark` for how much.
        Where signs cannot be followed, the median difference is at most 1e-4 and at
        least 99.5 % of the predictions are equal; among fewer than 200 inputs one
        prediction may differ.

        A file with 8-bit tensors differs from its model by quant steps. None of its
        tensors is more than one step from the graph that was converted, given what the
        file computed before. At least 90 % of the predictions equal those of the model
        (for outputs that are no classes, the root mean square of the difference is at
        most a quarter of theirs), and with labels the accuracy is at most 2 points
        lower.
        """
        return self.outcome == "passed"

    @property
    def _has_fault(self) -> bool:
        if self.not_finite or (self.witness and self.witness.fault is not None):
            return True
        if self.int8:
            if self.steps is not None and not self.steps.passed:
                return True
            # Answers that depend on rounding differ for that reason.
            return not self.undetermined and not self._is_alike_in_int8
        if self.first_mismatch is not None or self.unexplained_mismatches:
            return True
        if self.output_difference is not None:
            return not self.output_difference <= LARGEST_OUTPUT_DIFFERENCE
        return not (
            self.median_difference <= LARGEST_MEDIAN_DIFFERENCE
            and self._few(1 - self.agreement, 1 - LEAST_AGREEMENT)
        )

    @property
    def undetermined(self) -> tuple[str, ...]:
        """The layers where rounding decides more than 0.1 % of the signs."""
        layers = [layer.layer for layer in self.layers if layer.undetermined]
        return (*layers, *(self.steps.undetermined if self.steps else ()))

    @property
    def _depends_on_rounding(self) -> bool:
        if self.undetermined:
            return True
        # Where signs cannot be followed, and in int8, answers were compared already.
        if self.output_difference is None:
            return False
        return self._is_many(self.changed) or not self._keeps_accuracy

    def _is_many(self, changed: int) -> bool:
        return changed > max(_FEW_CHANGED, LARGEST_SHARE_CHANGED * self.samples)

    def __bool__(self) -> bool:
        return self.passed

    @property
    def _is_alike_in_int8(self) -> bool:
        return self._agrees_in_int8 and self._keeps_accuracy

    @property
    def _agrees_in_int8(self) -> bool:
        return self._few(1 - self.agreement, 1 - LEAST_INT8_AGREEMENT)

    @property
    def _keeps_accuracy(self) -> bool:
        if self.keras_accuracy is None or self.tflite_accuracy is None:
            return True
        return self._few(self.keras_accuracy - self.tflite_accuracy, LARGEST_INT8_LOSS)

    def _few(self, share: float, limit: float) -> bool:
        # Among a handful of inputs one may differ.
        allowed = max(1, int(limit * self.samples + 1e-9))
        return round(share * self.samples) <= allowed

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if self.outcome == "undetermined":
            return f"{UNDETERMINED}: {self._accident}"
        if self.not_finite:
            return (
                f"the outputs of {self.not_finite} of {self.samples} inputs are NaN or "
                "infinite in the model or in the file, so nothing can be compared"
            )
        if self.witness is not None and self.witness.fault is not None:
            return (
                f"{self.witness.backend_name} and {self.backend_name} compute the file "
                f"differently: the first departs from the model at {self.witness.fault}"
            )
        if self.int8:
            return self._verdict_in_int8
        if self.first_mismatch is not None:
            return (
                f"the two differ between {self._layer_before} and the sign of the "
                f"layer {self.first_mismatch}: signs differ where the values before "
                "them are not near zero"
            )
        if self.unexplained_mismatches:
            return (
                f"the outputs of {self.unexplained_mismatches} of {self.samples} "
                f"inputs differ by up to {self.largest_difference:.1e} of the largest "
                "one, though no value before a sign is within 1e-5 of zero"
            )
        if self.output_difference is not None:
            return (
                f"{sum(layer.values for layer in self.layers):,} signs of "
                f"{len(self.layers)} layer(s) are equal but for "
                f"{sum(layer.flipped_near_zero for layer in self.layers):,} that "
                "flipped near zero, and given equal signs the outputs differ by "
                f"{self.output_difference:.1e}"
            )
        return (
            f"the median difference is {self.median_difference:.1e} of the largest "
            f"output, and {self.agreement:.2%} of {self.samples} {self.answers} are "
            "equal"
        )

    @property
    def _layer_before(self) -> str:
        """The layer before the first mismatch, in words."""
        names = [layer.layer for layer in self.layers]
        if self.first_mismatch not in names:
            return "the layers before it"
        index = names.index(self.first_mismatch)
        return f"the layer {names[index - 1]}" if index else "the inputs"

    @property
    def _accident(self) -> str:
        """What depends on rounding, in words."""
        if not self.undetermined:
            return (
                f"{self.changed} of {self.samples} {self.answers} differ, because "
                "rounding flipped a few signs of values near zero; given equal signs "
                "every layer is right"
            )
        names = list(dict.fromkeys(self.undetermined))
        layers = [layer for layer in self.layers if layer.undetermined]
        text = ", ".join(names[:3])
        if len(names) > 3:
            text += f" and {len(names) - 3} more"
        counts = ""
        if layers:
            flipped = sum(layer.flipped_near_zero for layer in layers)
            values = sum(layer.values for layer in layers)
            counts = f" {flipped:,} of {values:,} ({flipped / values:.2%})"
        return (
            f"rounding decides{counts} of the signs before {text}, of which "
            f"{LARGEST_SHARE_FLIPPED:.1%} may be near zero by chance: sums there are "
            "zero but for rounding, so Keras's own answer is an accident"
        )

    @property
    def remark(self) -> str:
        """What to know of other hosts; empty where there is nothing."""
        witness = self.witness
        if witness is None or not self._is_many(witness.changed):
            return ""
        return (
            f"{witness.changed} of {self.samples} {self.answers} differ in "
            f"{witness.backend_name}, where rounding flips signs of values near zero; "
            "on other machines they may differ, too"
        )

    @property
    def cure(self) -> str:
        """What to do where the network is undetermined; empty otherwise."""
        return _CURE if self.outcome == "undetermined" else ""

    @property
    def answers(self) -> str:
        """What the outputs are called."""
        return "predictions" if self.classes else "answers"

    @property
    def _verdict_in_int8(self) -> str:
        # What fails is named with its limit.
        alike = self.agreement, self.samples, self.answers
        words = [
            "{:.2%} of {} {} are equal".format(*alike)
            + _unless(self._agrees_in_int8, f"at least {LEAST_INT8_AGREEMENT:.0%}")
        ]
        if self.keras_accuracy is not None and self.tflite_accuracy is not None:
            words.append(
                f"the accuracy goes from {self.keras_accuracy:.2%} to "
                f"{self.tflite_accuracy:.2%}"
                + _unless(
                    self._keeps_accuracy,
                    f"at most {100 * LARGEST_INT8_LOSS:.0f} points less",
                )
            )
        if self.steps is None:
            words.append(
                "tensors were not compared, because their ranges are not at hand: "
                "`convert` compared them when it made the file"
            )
        elif self.steps.first_mismatch is not None:
            words.append(
                f"the file and the graph with ranges differ at the layer "
                f"{self.steps.first_mismatch}"
            )
        else:
            words.append(
                f"{self.steps.values:,} values of {self.steps.tensors} tensors are "
                f"within one quant step of the graph with ranges"
            )
        return ", ".join(words)


def _unless(good: bool, limit: str) -> str:
    """Returns the limit in brackets where it is not met."""
    return "" if good else f" ({limit} needed)"
