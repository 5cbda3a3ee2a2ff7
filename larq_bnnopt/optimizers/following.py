"""An optimizer of `tf.keras.optimizers` that goes on with other variables.

Keras builds an optimizer once, for one list of variables. Layers that are unfrozen
later, or a second model, need state of their own beside what is already there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf

Optimizer: TypeAlias = tf.keras.optimizers.Optimizer


class Follower:
    """Keeps one optimizer built for the variables that it trains now.

    Its lists of state are always those that a new optimizer, built for these variables
    alone, would have: in the same order, so that saved files fit after loading. State
    of variables that are left out is put aside and comes back with them.

    Args:
        optimizer: Any optimizer of `tf.keras.optimizers`.
    """

    def __init__(self, optimizer: Optimizer):
        self.optimizer = optimizer
        self._aside: dict[str, dict[str, Any]] = {}

    def follow(self, variables: Sequence[tf.Variable]) -> None:
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
        before = {
            name: value
            for name, value in vars(optimizer).items()
            if isinstance(value, tf.Variable)
        }
        slots: set[int] = set()
        for name, rows in _rows(optimizer, len(optimizer._index_dict)).items():
            for key, index in optimizer._index_dict.items():
                self._aside.setdefault(key, {})[name] = rows[index]
                slots.update(id(part) for part in tf.nest.flatten(rows[index]))
        optimizer._variables = [v for v in optimizer._variables if id(v) not in slots]
        optimizer._built = False
        optimizer.build(variables)
        ours: dict[int, Any] = {}
        for name, old in before.items():
            new = getattr(optimizer, name)
            if new is not old:
                ours[id(new)] = old
                setattr(optimizer, name, old)
        for name, rows in _rows(optimizer, len(keys)).items():
            for index, key in enumerate(keys):
                known = self._aside.get(key, {}).get(name)
                if known is not None:
                    parts = zip(tf.nest.flatten(rows[index]), tf.nest.flatten(known))
                    ours.update((id(new), old) for new, old in parts)
            kept = tf.nest.map_structure(lambda v: ours.get(id(v), v), rows)
            setattr(optimizer, name, kept)
        optimizer._variables = [ours.get(id(v), v) for v in optimizer._variables]
        # TensorFlow 2.19 keeps what an optimizer saved the first time.
        optimizer.__dict__.pop("_coalesced_children", None)


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
