"""Draws accuracy against operations of all published networks.

Run it from the root of a checkout: `python tools/plot_models.py`. It writes
`docs/images/models.png` from `zoo_extensions.figures` and counts nothing. Where a table
has a misprint, the right value is drawn.
"""

from __future__ import annotations

import pathlib

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import Bbox

from zoo_extensions.figures import PUBLISHED, PublishedFigures

OUTPUT = pathlib.Path(__file__).parents[1] / "docs" / "images" / "models.png"

# Name of a family, how its models begin, marker and colour.
FAMILIES = (
    ("MeliusNet", ("meliusnet",), "o", "#0072B2"),
    ("BinaryDenseNet", ("binary_densenet",), "s", "#009E73"),
    ("ResNetE, Bi-Real Net", ("resnet_e", "birealnet"), "^", "#D55E00"),
    ("ReActNet", ("reactnet",), "D", "#CC79A7"),
    ("BNext (other operations in 8 bits)", ("bnext",), "P", "#8C564B"),
    ("MobileNet-v1, 32 bits", ("mobilenet",), "*", "#000000"),
)
OTHERS = "other networks, as papers 002 and 003 quote them"
# Operations in 1e8 and accuracies of the part that is drawn once more, larger.
DETAIL = (1.05, 3.0), (59.3, 66.8)
# Where a label may stand: its distance from the mark in points, the nearest first.
PLACES = [
    (distance * x, distance * y)
    for distance in (6, 12, 20, 30, 42, 56, 72, 90)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
]


def family_of(row: PublishedFigures) -> tuple[str, str, str]:
    """Returns the name of a row's family, its marker and its colour."""
    for name, starts, marker, colour in FAMILIES:
        if row.model.startswith(starts):
            return name, marker, colour
    return OTHERS, ".", "#999999"


def points() -> list[PublishedFigures]:
    """Returns the rows to draw: one for each place in the picture."""
    rows: dict[tuple[str, tuple, float], PublishedFigures] = {}
    for row in PUBLISHED:
        drawn = row.right_ops is not None and row.top1 is not None
        if drawn and row.data == "ImageNet":
            # The authors' wiki repeats the tables.
            if row.source != "BMXNet-v2 wiki":
                rows.setdefault((row.model, row.arguments, row.top1 or 0), row)
    return list(rows.values())


def place(row: PublishedFigures) -> tuple[float, float]:
    """Returns where a row is drawn."""
    return (row.right_ops or 0) / 1e8, row.top1 or 0


def in_detail(row: PublishedFigures) -> bool:
    """Tells whether a row is in the part that is drawn larger."""
    (left, right), (bottom, top) = DETAIL
    x, y = place(row)
    return left <= x <= right and bottom <= y <= top


def draw(axes: Axes, rows: list[PublishedFigures]) -> None:
    """Draws marks, and grid and ticks around them."""
    for name in [*(family[0] for family in FAMILIES), OTHERS]:
        family = [row for row in rows if family_of(row)[0] == name]
        if family:
            _, marker, colour = family_of(family[0])
            axes.scatter(
                *zip(*map(place, family)),
                s=110 if marker == "*" else 40,
                marker=marker,
                color=colour,
                label=name,
                zorder=2 if name == OTHERS else 3,
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("operations in 1e8: BOPs / 64 + FLOPs")
    axes.grid(alpha=0.3)


def write_labels(axes: Axes, rows: list[PublishedFigures]) -> None:
    """Writes each label at the nearest place where it covers nothing."""
    figure = axes.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    points = figure.dpi / 72
    frame = axes.get_window_extent(renderer)
    legend = axes.get_legend()
    taken = [legend.get_window_extent(renderer)] if legend else []
    for x, y in (axes.transData.transform(place(row)) for row in rows):
        taken.append(Bbox.from_extents(x - 5, y - 5, x + 5, y + 5))
    for row in sorted(rows, key=lambda row: (family_of(row)[0] == OTHERS, *place(row))):
        colour = family_of(row)[2] if family_of(row)[0] != OTHERS else "#666666"
        label = axes.annotate(
            row.label,
            place(row),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=8,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "alpha": 0.7},
        )
        x, y = axes.transData.transform(place(row))
        size = label.get_window_extent(renderer)
        width, height = size.width, size.height
        for dx, dy in PLACES:
            left = x + dx * points - (0 if dx > 0 else width if dx < 0 else width / 2)
            low = y + dy * points - height / 2
            box = Bbox.from_bounds(left, low, width, height)
            inside = frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1)
            if inside and not any(box.overlaps(other) for other in taken):
                break
        label.set_position(((left - x) / points, (low - y) / points))
        taken.append(box)
        if max(abs(dx), abs(dy)) <= PLACES[0][0]:
            label.arrow_patch.set_visible(False)


def main() -> None:
    """Draws the picture."""
    rows = points()
    figure, (whole, detail) = plt.subplots(
        1, 2, figsize=(15, 8), dpi=110, width_ratios=(1, 1.25)
    )
    draw(whole, rows)
    whole.set_xticks([0.2, 0.5, 1, 2, 5, 10, 20, 50])
    whole.set_xlim(0.2, 50)
    whole.set_ylim(40, 82)
    whole.set_ylabel("top-1 accuracy on ImageNet in %, as published")
    whole.legend(loc="lower right", fontsize=8)
    (left, right), (bottom, top) = DETAIL
    whole.add_patch(
        Rectangle(
            (left, bottom),
            right - left,
            top - bottom,
            fill=False,
            ls="--",
            color="#888",
        )
    )
    draw(detail, [row for row in rows if in_detail(row)])
    detail.set_xticks([1.2, 1.5, 2, 2.5, 3])
    detail.set_xlim(left, right * 1.1)
    detail.set_ylim(bottom, top)
    detail.set_title("the dashed part", fontsize=10)
    figure.tight_layout()
    write_labels(whole, [row for row in rows if not in_detail(row)])
    write_labels(detail, [row for row in rows if in_detail(row)])
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUTPUT, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
