"""What several rewrites look for."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.editing import Editor, data_inputs


def sign(x: Any) -> Any:
    """Returns larq's sign, +1 at zero, as Larq Compute Engine knows it."""
    import tensorflow as tf

    return tf.sign(tf.sign(x) + 0.1)


def signed_value(editor: Editor, tensor: str) -> str | None:
    """Returns the tensor of which another one is larq's sign, or `None`."""
    outer = editor.producer(tensor)
    if outer.op != "Sign":
        return None
    shifted = editor.producer(outer.input[0])
    if shifted.op not in ("Add", "AddV2"):
        return None
    for first, second in (shifted.input, reversed(shifted.input)):
        inner = editor.producer(first)
        if inner.op != "Sign":
            continue
        shift = editor.constant(second)
        if shift is not None and shift.size == 1 and 0 < shift.item() < 1:
            return editor.source(inner.input[0])
    return None


def is_binary(kernel: np.ndarray | None) -> bool:
    """Tells whether a kernel is +c and -c in each output channel, its last axis."""
    if kernel is None or not kernel.size:
        return False
    magnitude = np.abs(kernel.reshape(-1, kernel.shape[-1]))
    return bool((magnitude == magnitude[:1]).all() and (magnitude[0] > 0).all())


def only_user(editor: Editor, tensor: str, *kinds: str) -> Any:
    """Returns the only node that uses a tensor, if it is of a kind, or `None`."""
    users = editor.users(tensor)
    if len(users) == 1 and users[0].op in kinds:
        return users[0]
    return None


def paddings(editor: Editor, node: Any) -> tuple[np.ndarray, float] | None:
    """Returns what a Pad or PadV2 adds to each side of each axis, and its value."""
    given = data_inputs(node)
    amounts = editor.constant(given[1])
    value = editor.constant(given[2]) if node.op == "PadV2" else np.float32(0)
    if amounts is None or value is None:
        return None
    return amounts, float(value)


def is_nhwc(node: Any) -> bool:
    """Whether a convolution has its channels last."""
    return node.attr["data_format"].s in (b"NHWC", b"")
