"""Whether a .tflite computes what its Keras model computes."""

from __future__ import annotations

import dataclasses
import functools
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.comparison import (
    LARGEST_INT8_LOSS,
    LARGEST_MEDIAN_DIFFERENCE,
    LARGEST_OUTPUT_DIFFERENCE,
    LARGEST_SHARE_FLIPPED,
    LEAST_AGREEMENT,
    LEAST_INT8_AGREEMENT,
    largest_differences,
)
from converters.errors import ConversionError, check_model_and_file, reported
from converters.graph.freezing import freeze
from converters.graph.graph import Graph
from converters.model_arrays import (
    Inputs,
    Outputs,
    checked_samples,
    keras_outputs,
)
from converters.rewrites import rewrite
from converters.runtime import Interpreter
from converters.verification.answers import (
    equal_answers,
    is_classification,
    similar_answers,
)
from converters.verification.evidence import gather, is_int8
from converters.verification.fitting import file_outputs, interpreter_for
from converters.verification.signs import LayerParity
from converters.verification.steps import StepParity
from converters.verification.witness import Witness, call_witness, timed

# A sign that rounding turns moves all that lies behind it. Of a network of millions of
# signs that changes a prediction in a hundred, which is no fault; where it changes more
# than these, the answers hang on rounding.
LARGEST_SHARE_CHANGED = 0.05
_FEW_CHANGED = 2


UNDETERMINED = "the network is undetermined"
_CURE = (
    "Put a batch normalization or a bias in front of those signs and train it, so that "
    "sums are not zero there; where kernels have scales, convert "
    "zoo_extensions.to_latent_free(model), whose sums are exact. To see what becomes "
    "of a network that is not trained, give inputs=None; allow_undetermined=True takes "
    "it as it is."
)


@dataclasses.dataclass(frozen=True)
class Verification:
    """The outputs of a Keras model beside those of a file, on the same inputs.

    Both compute in float32, in another order, so most values differ by rounding. Where
    a value in front of a sign is almost zero, rounding may turn the sign, and all that
    lies behind it moves although nothing is wrong: a tie. Therefore each layer is
    judged with the signs that the file computed in front of it.

    Attributes:
        samples: Number of inputs.
        layers: For each layer with a sign, how many of its signs differ, and by what.
        untraced: Layers whose signs cannot be followed into the file.
        first_wrong: The first layer whose signs differ where they should not, or
            `None`.
        output_difference: Largest difference of the outputs given equal signs, relative
            to the largest output; `None` where it is not known.
        median_difference: Median over the inputs of the largest difference of the
            outputs, relative to the largest output. Ties are in it.
        largest_difference: The largest of these differences.
        agreement: Share of inputs with equal answers: the largest class, or for other
            outputs a difference below 1e-3 (in int8 see `passed`).
        moved: Number of inputs whose difference is larger than 1e-4.
        moved_with_tie: How many of those have a sign that a tie turned; `None` where
            signs cannot be followed.
        unexplained: How many of them have no value within 1e-5 of zero in front of a
            sign, so that no rounding explains them; `None` where signs cannot be
            followed.
        not_finite: Number of inputs to which the model, or the file, gives an output
            that is NaN or infinite.
        keras_accuracy: Accuracy of the Keras model, `None` without labels.
        tflite_accuracy: Accuracy of the file, `None` without labels.
        milliseconds: Mean time of the file for one input.
        num_threads: Threads it ran with.
        runner: What ran it: the interpreter that `Interpreter(file)` is here.
        classes: Whether all outputs are scores of classes.
        int8: Whether the file holds 8-bit tensors.
        steps: Those beside the graph that was converted, `None` where there are none or
            that graph is not at hand.
        changed: Number of inputs whose answer is another one: the largest class, or
            for other outputs a root mean square of the difference of more than a
            quarter of theirs.
        witness: The file in Larq Compute Engine's interpreter, `None` where that is
            the first one or is not installed.
    """

    samples: int
    layers: tuple[LayerParity, ...]
    untraced: tuple[str, ...]
    first_wrong: str | None
    output_difference: float | None
    median_difference: float
    largest_difference: float
    agreement: float
    moved: int
    moved_with_tie: int | None
    unexplained: int | None
    not_finite: int
    keras_accuracy: float | None
    tflite_accuracy: float | None
    milliseconds: float
    num_threads: int
    runner: str
    classes: bool
    int8: bool = False
    steps: StepParity | None = None
    changed: int = 0
    witness: Witness | None = None

    @property
    def outcome(self) -> str:
        """`"passed"`, `"undetermined"` or `"failed"`.

        A network is undetermined where the file is right and yet the two answer
        otherwise, because values in front of signs are zero but for rounding: those of
        the layers of `undetermined`, or so many that more than 5 % of the answers are
        others, or the accuracy is more than 2 points lower. Then what Keras predicts
        is as accidental as what the file predicts.
        """
        if self._has_fault:
            return "failed"
        return "undetermined" if self._hangs_on_rounding else "passed"

    @property
    def passed(self) -> bool:
        """Whether the file says what the model says.

        All outputs are finite. No sign differs but by ties, given equal signs the
        outputs agree to 1e-4, and no input moved further that has no value near zero.
        Ties are few, see `outcome`: at most 0.1 % of the signs of a layer (eight are
        always allowed), and at most 5 % of the answers are others. In a second
        interpreter, where there is one, nothing but rounding differs either; see
        `remark` for how much.
        Where signs cannot be followed, the median difference is at most 1e-4 and at
        least 99.5 % of the predictions are equal; among fewer than 200 inputs one
        prediction may differ.

        A file with 8-bit tensors says something else than its model, by steps. No
        tensor of it is more than one step from the graph that was converted, given what
        the file computed before; at least 90 % of the predictions are those of the
        model (of outputs that are no classes, the root mean square of the difference is
        at most a quarter of theirs), and with labels the accuracy is at most 2 points
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
            # Answers that hang on rounding are others for that reason.
            return not self.undetermined and not self._is_alike_in_int8
        if self.first_wrong is not None or self.unexplained:
            return True
        if self.output_difference is not None:
            return not self.output_difference <= LARGEST_OUTPUT_DIFFERENCE
        return not (
            self.median_difference <= LARGEST_MEDIAN_DIFFERENCE
            and self._few(1 - self.agreement, 1 - LEAST_AGREEMENT)
        )

    @property
    def undetermined(self) -> tuple[str, ...]:
        """The layers of which rounding decides more than 0.1 % of the signs."""
        layers = [layer.layer for layer in self.layers if layer.undetermined]
        return (*layers, *(self.steps.undetermined if self.steps else ()))

    @property
    def _hangs_on_rounding(self) -> bool:
        if self.undetermined:
            return True
        # Where signs cannot be followed, and in int8, answers were judged already.
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
        # Of a handful of inputs one may be another.
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
                f"{self.witness.runner} and {self.runner} compute the file otherwise: "
                f"the first is another than the model at {self.witness.fault}"
            )
        if self.int8:
            return self._verdict_in_int8
        if self.first_wrong is not None:
            names = [layer.layer for layer in self.layers]
            index = names.index(self.first_wrong) if self.first_wrong in names else 0
            before = f"the layer {names[index - 1]}" if index else "the inputs"
            if self.first_wrong not in names:
                before = "what lies before it"
            return (
                f"the two part between {before} and the sign of the layer "
                f"{self.first_wrong}: signs differ where the values before them are "
                "not near zero"
            )
        if self.unexplained:
            return (
                f"the outputs of {self.unexplained} of {self.samples} inputs differ by "
                f"up to {self.largest_difference:.1e} of the largest one, though no "
                "value in front of a sign is within 1e-5 of zero"
            )
        if self.output_difference is not None:
            return (
                f"{sum(layer.values for layer in self.layers):,} signs of "
                f"{len(self.layers)} layers are equal but for "
                f"{_counted(sum(layer.ties for layer in self.layers))}, and given "
                f"equal signs the outputs differ by {self.output_difference:.1e}"
            )
        return (
            f"the median difference is {self.median_difference:.1e} of the largest "
            f"output, and {self.agreement:.2%} of {self.samples} {self.answers} are "
            "equal"
        )

    @property
    def _accident(self) -> str:
        """What hangs on rounding, in words."""
        if not self.undetermined:
            return (
                f"{self.changed} of {self.samples} {self.answers} are others, "
                "because rounding turned a few signs of values near zero; given equal "
                "signs every layer is right"
            )
        names = list(dict.fromkeys(self.undetermined))
        layers = [layer for layer in self.layers if layer.undetermined]
        text = ", ".join(names[:3])
        if len(names) > 3:
            text += f" and {len(names) - 3} more"
        counts = ""
        if layers:
            ties, values = (
                sum(getattr(layer, name) for layer in layers)
                for name in ("ties", "values")
            )
            counts = f" {ties:,} of {values:,} ({ties / values:.2%})"
        return (
            f"rounding decides{counts} of the signs in front of {text}, of which "
            f"{LARGEST_SHARE_FLIPPED:.1%} may be near zero by chance: sums there are "
            "zero but for rounding, so Keras's own answer is an accident"
        )

    @property
    def remark(self) -> str:
        """What to know of other machines; empty where there is nothing."""
        witness = self.witness
        if witness is None or not self._is_many(witness.changed):
            return ""
        return (
            f"{witness.changed} of {self.samples} {self.answers} are others in "
            f"{witness.runner}, where rounding turns signs of values near zero; on "
            "other machines they may be, too"
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
        # What fails is told with its limit.
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
        elif self.steps.first_wrong is not None:
            words.append(
                f"the file and the graph with ranges part at the layer "
                f"{self.steps.first_wrong}"
            )
        else:
            words.append(
                f"{self.steps.values:,} values of {self.steps.tensors} tensors are "
                f"within one step of the graph with ranges"
            )
        return ", ".join(words)


def verify(
    model: Any,
    tflite: bytes | str | os.PathLike[str],
    inputs: Inputs,
    labels: np.ndarray | None = None,
    *,
    num_threads: int = 1,
) -> Verification:
    """Runs a Keras model and a .tflite on the same inputs and compares the outputs.

    Inputs and outputs belong together by name. A single one needs no equal name, and
    where names differ by Keras's automatic numbers alone, as those of a model that was
    built again, they belong together in the order of the numbers.

    Args:
        model: The Keras model that was converted.
        tflite: The content of the file, or its path.
        inputs: Array (samples, ...); for several inputs, arrays by name or in the
            model's order, as Keras takes them: those of a model that was built with a
            dictionary go by its keys. Real numbers are rounded to float32; an input of
            integers or booleans takes integers.
        labels: Integer class of each sample, (samples,), to report accuracies. Defaults
            to `None`.
        num_threads: Threads of the interpreter. Defaults to `1`.

    Returns:
        The comparison; `.passed` is the verdict.

    Raises:
        ConversionError: If inputs or outputs of the two differ in name, number or
            shape.
        ValueError: If the file is no .tflite or the inputs do not fit.
        TypeError: If a model and a file were not given in this order.

    Example:
        >>> import numpy as np
        >>> import zoo_extensions as zx
        >>> from converters import convert
        >>> model = zx.TinyResidualBNN(latent_weights=False)
        >>> images = np.random.default_rng(0).normal(size=(20, 28, 28, 1))
        >>> images = images.astype(np.float32)
        >>> content = convert(model, inputs=None).content
        >>> verify(model, content, images).passed
        True
    """
    check_model_and_file(model, tflite)
    arrays, labels = checked_samples(model, inputs, labels)
    return verify_arrays(model, tflite, arrays, labels, num_threads)


def verify_arrays(
    model: Any,
    tflite: bytes | str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    labels: np.ndarray | None = None,
    num_threads: int = 1,
) -> Verification:
    """Does what `verify` does, for inputs and labels that were checked already.

    Args:
        model: As for `verify`.
        tflite: As for `verify`.
        arrays: The inputs, as `checked_samples` returns them.
        labels: The labels, likewise.
        num_threads: As for `verify`.
    """
    interpreter = interpreter_for(model, tflite, num_threads)
    frozen, converted = _graphs_of(model)
    return compare(model, frozen, converted, interpreter, arrays, labels, num_threads)


def _graphs_of(model: Any) -> tuple[Graph | None, Sequence[Graph | None]]:
    """Returns a model as a graph, and the graphs that may have been converted."""
    if not getattr(model, "inputs", None):
        return None, ()
    with reported(f"The tracing of {model.name}"):
        frozen = freeze(model)
        rewritten = frozen.copy()
        rewrites = rewrite(rewritten)
    # A file from elsewhere was converted as the model is.
    return frozen, (rewritten, None) if rewrites else (None,)


def compare(
    model: Any,
    frozen: Graph | None,
    converted: Sequence[Graph | None],
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    labels: np.ndarray | None = None,
    num_threads: int = 1,
) -> Verification:
    """Compares a file with its model, for graphs that are at hand.

    Args:
        model: The Keras model.
        frozen: The model as a graph, `None` where it has no symbolic inputs.
        converted: The graphs that may have been converted: rewritten ones, and `None`
            for `frozen` itself.
        interpreter: Runs the file, as `interpreter_for` returns it.
        arrays: The inputs, as `checked_samples` returns them.
        labels: The labels, likewise.
        num_threads: Threads of the interpreter.

    Returns:
        The comparison.
    """
    with reported(f"The comparison of {model.name} with its file"):
        outputs = keras_outputs(model, arrays)
        _warn_of_mixing(model, outputs)
        graphs = [
            graph and _run_as_the_file(graph, outputs, arrays)
            for graph in (frozen, *converted)
        ]
        return _compared(
            outputs, graphs[0], graphs[1:], interpreter, arrays, labels, num_threads
        )


def _compared(
    outputs: Outputs,
    frozen: Graph | None,
    converted: Sequence[Graph | None],
    interpreter: Interpreter,
    arrays: Mapping[str, np.ndarray],
    labels: np.ndarray | None,
    num_threads: int,
) -> Verification:
    samples, expected = len(next(iter(arrays.values()))), outputs.arrays
    run = functools.partial(file_outputs, expected=outputs)
    received, milliseconds = timed(interpreter, arrays, run)
    int8 = is_int8(interpreter.file)
    difference = largest_differences(expected, received)
    similar = similar_answers(expected, received)
    agrees = similar if int8 else equal_answers(expected, received)
    moved = difference > LARGEST_MEDIAN_DIFFERENCE
    finite = _finite(expected, samples) & _finite(received, samples)
    judge = functools.partial(gather, frozen, converted)
    evidence = judge(interpreter, arrays, received)
    parity, traced = evidence.parity, evidence.is_traced
    first = next(iter(expected))

    def accuracy(outputs: Mapping[str, np.ndarray]) -> float | None:
        if labels is None:
            return None
        if not is_classification(outputs[first]):
            raise ConversionError(
                f"Labels need class scores (samples, classes) as the first output. "
                f"Received: {outputs[first].shape}"
            )
        return float((outputs[first].argmax(axis=1) == labels).mean())

    return Verification(
        samples=samples,
        layers=evidence.layers,
        untraced=parity.untraced if parity else (),
        first_wrong=parity.first_wrong if parity else None,
        output_difference=evidence.output_difference,
        median_difference=float(np.median(difference)),
        largest_difference=float(difference.max()),
        agreement=float(agrees.mean()),
        moved=int(moved.sum()),
        moved_with_tie=int((moved & parity.tied).sum()) if parity and traced else None,
        unexplained=int((moved & ~parity.near).sum()) if parity and traced else None,
        not_finite=int((~finite).sum()),
        keras_accuracy=accuracy(expected),
        tflite_accuracy=accuracy(received),
        milliseconds=milliseconds,
        num_threads=num_threads,
        runner=interpreter.backend_name,
        classes=all(is_classification(output) for output in expected.values()),
        int8=int8,
        steps=evidence.steps,
        changed=int((~similar).sum()),
        witness=call_witness(interpreter, num_threads, arrays, received, run, judge),
    )


def _run_as_the_file(
    graph: Graph, outputs: Outputs, arrays: Mapping[str, np.ndarray]
) -> Graph:
    """Returns a graph that runs samples one at a time where batches differ."""
    alone = outputs.shapes_alone
    if alone is None and graph.moves_samples(arrays):
        alone = {}
    if alone is None:
        return graph
    run_alone = graph.copy()
    run_alone.alone = alone
    return run_alone


def _warn_of_mixing(model: Any, outputs: Outputs) -> None:
    if outputs.mixing is not None:
        warnings.warn(
            f"Output {outputs.mixing!r} of {model.name} depends on the other inputs of "
            "a batch. A file computes one input at a time, and so did the model here.",
            stacklevel=5,
        )


def _counted(ties: int) -> str:
    """Returns how many ties there are, in words."""
    return f"{ties:,} tie" if ties == 1 else f"{ties:,} ties"


def _unless(good: bool, limit: str) -> str:
    """Returns what is needed, in brackets, where it is not reached."""
    return "" if good else f" ({limit} needed)"


def _finite(outputs: Mapping[str, np.ndarray], samples: int) -> np.ndarray:
    """Returns for each sample whether its outputs are finite."""
    finite = np.ones(samples, bool)
    for output in outputs.values():
        finite &= np.isfinite(output.reshape(samples, -1)).all(axis=1)
    return finite
