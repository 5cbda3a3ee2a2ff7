"""HTML report of a run: settings, curves, flips, conversion, test images."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Iterator

import tensorflow as tf

from larq_bnnopt import writing
from larq_bnnopt.callbacks import plot_flips, summaries
from larq_bnnopt.datasets import IMAGES
from larq_bnnopt.recipes.histories import History, draw_curve, known_curves
from larq_bnnopt.recipes.runs import Run
from larq_bnnopt.recipes.samples import Sample, Samples
from larq_bnnopt.recipes.words import in_words, percent

_STYLE = """
:root { color-scheme: light; --line: #d8dce2; --faint: #5b6470 }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  color: #1b1f24; margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 66rem;
  overflow-wrap: anywhere }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line) }
p { margin: .25rem 0 .75rem; max-width: 46rem } .note { color: var(--faint) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .75rem .3rem 0;
  text-align: left; vertical-align: top }
tr:last-child > * { border-bottom: 0 }
th { font-weight: 400; color: var(--faint) }
.facts th { width: 45% } .facts { max-width: 46rem }
.layers th, .layers td { text-align: right; padding-right: 0; padding-left: .5rem }
.layers th { overflow-wrap: normal } .layers td { white-space: nowrap }
.layers td:first-child { white-space: normal }
.layers th:first-child, .layers td:first-child { text-align: left; padding-left: 0;
  min-width: 5rem }
img { max-width: 100%; height: auto }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr));
  gap: .75rem }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr));
  gap: 1rem .75rem; margin: .5rem 0 1.25rem }
figure { margin: 0; font-size: .8rem; line-height: 1.35 }
figure img { width: 100%; max-width: 8rem; display: block; margin-bottom: .3rem;
  border-radius: 3px; image-rendering: pixelated }
figcaption span { display: block } .wrong { color: #a3271b }
@media (max-width: 40rem) { body { padding-top: 1.25rem } .facts th { width: 50% }
  .layers { font-size: .75rem; line-height: 1.3 } .layers th { hyphens: auto }
  .samples { grid-template-columns: repeat(3, 1fr) } }
"""


def write_page(run: Run, path: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Writes the report of a run as one HTML file that contains its pictures.

    Args:
        run: The run.
        path: Where to write. Defaults to `None`, `report.html` in its folder.

    Returns:
        The path.

    Raises:
        FileNotFoundError: If the folder holds no run.
        ValueError: If its configuration or history is damaged.
    """
    history = History.of(run)
    name = html.escape(run.folder.resolve().name)
    parts = [f"<h1>{name}</h1>", *_training(run, history), *_conversion(run)]
    parts += [*_examples(run), *_confusion(run), *_settings(run, history)]
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    target = pathlib.Path(path or run.folder / "report.html")
    writing.write_text(target, page)
    return target


def try_to_write_page(run: Run) -> None:
    """Writes the report of a run; warns on failure, so that trainings continue."""
    try:
        write_page(run)
    except Exception as error:  # A drawing fails in many ways.
        warnings.warn(
            f"The report of {run.folder} could not be written ({error}). The command "
            f"continues; to write it later: bnnopt report {run.folder}",
            stacklevel=2,
        )


class Page(tf.keras.callbacks.Callback):
    """Writes the report of a run after every epoch.

    Args:
        run: The run.
    """

    def __init__(self, run: Run):
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes `report.html`."""
        try_to_write_page(self._run)


def _training(run: Run, history: History) -> Iterator[str]:
    """Yields the training: network, figures, curves and flips."""
    yield f"<p class=note>{html.escape(history.network())}</p>"
    if not history.epochs:
        yield "<p>No epoch is complete yet.</p>"
        return
    inputs = str(run.read_facts().get("inputs", IMAGES))
    yield _table(_figures(history, inputs))
    yield "<h2>How it went</h2>"
    curves = (
        _image(title, _curve(history, title)) for title in known_curves([history])
    )
    yield f'<div class="curves">{"".join(curves)}</div>'
    if run.flips.exists() and history.last("flip_ratio") is not None:
        yield _picture("Flips of binary weights", _drawn(plot_flips, run.flips))
        yield _layers(run)
    result = run.read_recalibration()
    if result is not None:
        yield (
            f"<h2>Batch-norm statistics re-estimated from {result.batches} batches</h2>"
        )
        yield _table(
            [
                ("accuracy before", f"{result.before:.2%}"),
                ("accuracy after", f"{result.after:.2%}"),
            ]
        )


def _figures(history: History, inputs: str) -> Iterator[tuple[str, str]]:
    yield "epochs", history.epochs_in_words()
    if history.accuracy is not None:
        yield f"accuracy on the test {inputs}", f"{history.accuracy:.2%}"
    for words, score in history.scores().items():
        yield f"{words} of the test", f"{score:.3f}"
    for name, text in (
        ("accuracy", "accuracy in training"),
        ("flip_ratio", "binary weights that flip in a step"),
        ("c2i_ratio", "with their initial sign"),
        ("never_flipped_ratio", "that have never flipped"),
        ("dead_ratio", "without a gradient in the last epoch"),
    ):
        value = history.last(name)
        if value is not None:
            yield text, percent(value)
    for name, text in (
        ("loss", "loss in training"),
        ("val_loss", f"loss on the test {inputs}"),
        ("teacher_loss", "loss of the teacher's answers in training"),
        ("hidden_loss", "loss of its hidden states in training"),
        ("attention_loss", "loss of its attention scores in training"),
        ("val_mean_absolute_error", "mean absolute error of the test"),
        ("val_r2", "R2 of the test"),
    ):
        value = history.last(name)
        if value is not None:
            yield text, f"{value:.3g}"


def _conversion(run: Run) -> Iterator[str]:
    """Yields the summary of the .tflite, as `convert` printed it."""
    summary = _summary(run)
    if not run.tflite.exists() and not summary:
        return
    yield "<h2>The .tflite</h2>"
    if not run.tflite.exists():
        yield "<p>It was not written:</p>"
    if not summary:
        summary = [("size of the .tflite", f"{run.tflite.stat().st_size:,} bytes")]
    yield _table(summary)


def _summary(run: Run) -> list[tuple[str, str]]:
    try:
        content = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
        return [(str(label), str(text)) for label, text in content["summary"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # From an earlier version, or missing.


def _examples(run: Run) -> Iterator[str]:
    """Yields test images with their classes and the predicted ones."""
    found = Samples.read(run)
    if found is None:
        return
    yield "<h2>Test images</h2>"
    wrong = found.images - found.right
    for is_right, count, word in (
        (True, found.right, "right"),
        (False, wrong, "wrong"),
    ):
        shown = [sample for sample in found.samples if sample.is_right == is_right]
        if shown:
            some = "" if len(shown) == count else f"; {len(shown)} of them"
            yield (
                f"<p>The model is {word} on {count:,} of {found.images:,} "
                f"({count / found.images:.1%}){some}:</p>"
            )
            yield f'<div class="samples">{"".join(map(_figure, shown))}</div>'


def _figure(sample: Sample) -> str:
    score = "" if sample.score is None else f", {sample.score:.0%}"
    data = base64.b64encode(sample.image).decode()
    said = f"<span>{html.escape(sample.predicted)}{score}</span>"
    if not sample.is_right:
        said = (
            f"<span class=wrong>said: {html.escape(sample.predicted)}{score}</span>"
            f"<span>is: {html.escape(sample.true)}</span>"
        )
    return (
        f'<figure><img alt="{html.escape(sample.true)}" '
        f'src="data:image/png;base64,{data}"><figcaption>{said}</figcaption></figure>'
    )


def _confusion(run: Run) -> Iterator[str]:
    path = run.folder / "confusion.png"
    if path.exists():
        yield _picture("Confusion on the test images", path.read_bytes())


def _settings(run: Run, history: History) -> Iterator[str]:
    yield "<h2>Settings</h2>"
    yield _table(in_words(history.recipe))
    yield "<h2>Versions</h2>"
    yield _table(run.read_versions().items())


_COLUMNS = {
    "layer": "layer",
    "flip_ratio": "flip in a step",
    "positive_ratio": "positive",
    "dead_ratio": "without gradient",
    "never_flipped_ratio": "never flipped",
    "unused_ratio": "rows unused",
    "flips_p50": "flips, median",
    "flips_p75": "75th",
    "flips_p95": "95th",
    "flips_p99": "99th percentile",
    "flips_max": "most flips",
}


def _layers(run: Run) -> str:
    """Returns the table of binary layers in the last epoch, empty without data."""
    rows = summaries.last_layers(summaries.layers_path(run.flips))
    if not rows:
        return ""
    known = [name for name in _COLUMNS if any(row.get(name) for row in rows)]
    heading = "".join(f"<th>{html.escape(_COLUMNS[name])}</th>" for name in known)
    lines = [
        "".join(f"<td>{html.escape(_cell(name, row[name]))}</td>" for name in known)
        for row in rows
    ]
    table = "\n".join(f"<tr>{line}</tr>" for line in (heading, *lines))
    return (
        "<h2>Binary layers in the last epoch</h2>\n<p class=note>Shares of the weights "
        f'of each layer.</p>\n<table class="layers">\n{table}\n</table>'
    )


def _cell(name: str, text: str) -> str:
    if not text or not name.endswith("_ratio"):
        return text
    return percent(float(text))


def _drawn(plot: Callable[..., None], what: pathlib.Path) -> bytes:
    """Returns a plot as the bytes of a PNG."""
    picture = io.BytesIO()
    plot(what, picture)
    return picture.getvalue()


def _curve(history: History, title: str) -> bytes:
    """Returns the plot of a curve, sized for a column of the page or a phone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.6), layout="constrained")
    draw_curve(figure.add_subplot(), [history], title)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=140)
    return picture.getvalue()


def _picture(title: str, content: bytes) -> str:
    return f"<h2>{html.escape(title)}</h2>\n{_image(title, content)}"


def _image(title: str, content: bytes) -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'


def _table(rows: Iterable[tuple[str, object]]) -> str:
    lines = [
        f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(str(text))}</td></tr>"
        for name, text in rows
    ]
    return '<table class="facts">\n' + "\n".join(lines) + "\n</table>"
