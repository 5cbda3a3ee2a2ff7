"""Rebuilds a Keras optimizer for other variables and keeps its state.

Keras builds an optimizer once, for one list of variables. Layers that are unfrozen
later, or a second model, need state of their own beside the state that exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf

Optimizer: TypeAlias = tf.keras.optimizers.Optimizer


class Rebuilder:
    """Keeps one optimizer built for the variables that it trains now.

    Its lists of state are always those that a new optimizer, built for these variables
    alone, would have: in the same order, so that saved files fit after loading. State
    of variables that are left out is put aside and comes back with them.

    Args:
        optimizer: Any optimizer of `tf.keras.optimizers`.
    """

    def __init__(self, optimizer: Optimizer):
        self.optimizer = optimizer
        # State by the variable's key and the name of the optimizer's attribute.
        self._aside: dict[str, dict[str, Any]] = {}

    def rebuild_for(self, variables: Sequence[tf.Variable]) -> None:
        """Makes the optimizer train these variables, in this order."""
        optimizer = self.optimizer
        keys = [optimizer._var_key(variable) for variable in variables]
        if not getattr(optimizer, "_built", False):
            # Some optimizers cannot be built for no variables.
            if variables:
                optimizer.build(variables)
            return
        if keys == list(optimizer._index_dict) or not variables:
            return
        scalars = {
            name: value
            for name, value in vars(optimizer).items()
            if isinstance(value, tf.Variable)
        }
        self._put_aside()
        optimizer._built = False
        optimizer.build(variables)
        # From the id of each new variable to the old one that takes its place.
        old_for: dict[int, tf.Variable] = {}
        for name, old in scalars.items():
            new = getattr(optimizer, name)
            if new is not old:
                old_for[id(new)] = old
                setattr(optimizer, name, old)
        for name, rows in _rows(optimizer, len(keys)).items():
            for index, key in enumerate(keys):
                known = self._aside.get(key, {}).get(name)
                if known is not None:
                    parts = zip(tf.nest.flatten(rows[index]), tf.nest.flatten(known))
                    old_for.update((id(new), old) for new, old in parts)
            restored = tf.nest.map_structure(lambda v: old_for.get(id(v), v), rows)
            setattr(optimizer, name, restored)
        optimizer._variables = [old_for.get(id(v), v) for v in optimizer._variables]
        # TensorFlow 2.19 caches what an optimizer saved the first time.
        optimizer.__dict__.pop("_coalesced_children", None)

    def _put_aside(self) -> None:
        """Moves the state of all variables out of the optimizer."""
        optimizer = self.optimizer
        slots: set[int] = set()
        for name, rows in _rows(optimizer, len(optimizer._index_dict)).items():
            for key, index in optimizer._index_dict.items():
                self._aside.setdefault(key, {})[name] = rows[index]
                slots.update(id(part) for part in tf.nest.flatten(rows[index]))
        optimizer._variables = [v for v in optimizer._variables if id(v) not in slots]


def _rows(optimizer: Optimizer, count: int) -> dict[str, list[Any]]:
    """Returns the attributes that hold state for each variable."""
    rows = {}
    for name, value in vars(optimizer).items():
        if name == "_variables" or not isinstance(value, list) or len(value) != count:
            continue
        plain = [tuple(row) if isinstance(row, tuple) else row for row in value]
        parts = tf.nest.flatten(plain)
        if all(part is None or isinstance(part, tf.Variable) for part in parts):
            rows[name] = plain
    return rows
