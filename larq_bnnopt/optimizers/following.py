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
        self._state: dict[str, dict[str, Any]] = {}
        self._keys: tuple[str, ...] | None = None

    def follow(self, variables: Sequence[tf.Variable]) -> None:
        """Makes the optimizer train these variables, in this order."""
        optimizer = self.optimizer
        keys = tuple(optimizer._var_key(variable) for variable in variables)
        if keys == self._keys:
            return
        first, self._keys = self._keys is None, keys
        if first and not getattr(optimizer, "_built", False):
            optimizer.build(variables)
        if first:
            return
        for name, rows in _rows(optimizer, len(optimizer._index_dict)).items():
            for key, index in optimizer._index_dict.items():
                self._state.setdefault(key, {})[name] = rows[index]
        twin = type(optimizer).from_config(optimizer.get_config())
        twin.build(variables)
        ours = {
            id(variable): getattr(optimizer, name)
            for name, variable in vars(twin).items()
            if isinstance(variable, tf.Variable)
        }
        for name, rows in _rows(twin, len(keys)).items():
            for index, key in enumerate(keys):
                known = self._state.get(key, {}).get(name)
                if known is not None:
                    old, new = tf.nest.flatten(known), tf.nest.flatten(rows[index])
                    ours.update(zip(map(id, new), old))
            setattr(
                optimizer,
                name,
                tf.nest.map_structure(lambda v: ours.get(id(v), v), list(rows)),
            )
        optimizer._variables = [ours.get(id(v), v) for v in twin._variables]
        optimizer._build_index_dict(variables)


def _rows(optimizer: Optimizer, count: int) -> dict[str, list[Any]]:
    """Returns the attributes that hold state for each variable."""
    rows = {}
    for name, value in vars(optimizer).items():
        if name == "_variables" or not isinstance(value, list) or len(value) != count:
            continue
        plain = [tuple(row) if isinstance(row, tuple) else row for row in value]
        parts = [part for row in plain for part in tf.nest.flatten(row)]
        if all(part is None or isinstance(part, tf.Variable) for part in parts):
            rows[name] = plain
    return rows
