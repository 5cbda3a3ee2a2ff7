"""Gradient accumulation over several batches, for both CaseOptimizers."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from larq_bnnopt.optimizers.sparse_rows import Gradient, first_positions, summed


class Accumulator(tf.Module):
    """Adds up gradients and passes on their mean after every `steps` batches.

    Args:
        steps: Number of batches, at least 1.

    Raises:
        ValueError: If `steps` is below 1.
    """

    def __init__(self, steps: int):
        super().__init__(name="accumulator")
        if steps != int(steps) or steps < 1:
            raise ValueError(
                "accumulate_steps must be a whole number, at least 1. Received: "
                f"{steps}"
            )
        self.steps = int(steps)
        # Not tracked: its keys mean nothing in another process.
        self._known = types.SimpleNamespace(sums={}, seen={}, keys=())
        if self.steps > 1:
            with tf.init_scope():
                self.count = tf.Variable(
                    0,
                    dtype=tf.int64,
                    trainable=False,
                    name="accumulated",
                    aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                )

    @property
    def state(self) -> list[tf.Variable]:
        """The number of batches in the sums, the sums, and which rows they hold."""
        if self.steps == 1:
            return []
        # No lists before there are sums: a checkpoint would be restored into them.
        return [self.count, *getattr(self, "sums", []), *getattr(self, "seen", [])]

    def rebuild_for(
        self,
        keys: Sequence[str],
        variables: Sequence[tf.Variable],
        by_rows: Sequence[bool] = (),
    ) -> None:
        """Keeps a sum for each of these variables, in this order.

        Args:
            keys: Keys of the variables.
            variables: The variables.
            by_rows: For each of them, whether a sparse gradient must stay sparse,
                because its optimizer tells rows that were seen from others.

        Raises:
            ValueError: If batches were summed for other variables alone.
        """
        if self.steps == 1:
            return
        known = self._known
        waiting = int(self.count.numpy())
        if known.keys and not set(known.keys) & set(keys) and waiting:
            raise ValueError(
                f"{waiting} of {self.steps} batches were summed for other "
                "variables. An optimizer with accumulate_steps trains one model; give "
                "every step all of its variables."
            )
        by_rows = tuple(by_rows) or (False,) * len(keys)
        for number, (key, variable, rows) in enumerate(zip(keys, variables, by_rows)):
            if key not in known.sums:
                wide = variable.dtype.base_dtype == tf.float64
                dtype = tf.float64 if wide else tf.float32
                known.sums[key] = _zeros(f"sum_{number}", variable, dtype)
            if rows and variable.shape.rank and key not in known.seen:
                known.seen[key] = _zeros(f"seen_{number}", variable, tf.bool)
        known.keys = tuple(keys)
        self.sums = [known.sums[key] for key in keys]
        if known.seen:
            self.seen = [known.seen[key] for key in keys if key in known.seen]

    def add(
        self,
        gradients: Sequence[Gradient | None],
        apply: Callable[[list[Gradient]], object],
    ) -> tf.Operation:
        """Adds gradients, and calls `apply` with the means when the batches are full.

        Args:
            gradients: A gradient for each variable of `rebuild_for`, already summed
                over the replicas. `None` adds nothing: it is a gradient of zero.
            apply: Called in the replicas, with a mean for each variable, which is
                sparse where the gradient is and `by_rows` was true.

        Returns:
            The same operation in all replicas.
        """
        no_merge_call = tf.__internal__.distribute.strategy_supports_no_merge_call()
        sums = list(self.sums)
        present = [i for i, gradient in enumerate(gradients) if gradient is not None]
        # The positions of the variables whose rows count one by one.
        flagged = [
            i for i, key in enumerate(self._known.keys) if key in self._known.seen
        ]
        seen = [self._known.seen[self._known.keys[i]] for i in flagged]
        sparse = {i for i in flagged if not isinstance(gradients[i], tf.Tensor)}

        def mean(
            sums: Sequence[tf.Variable], seen: Sequence[tf.Variable]
        ) -> list[Gradient]:
            flags = dict(zip(flagged, seen))
            return [
                _mean_of_rows(value, flags[index], self.steps)
                if index in sparse
                else tf.convert_to_tensor(value) / self.steps
                for index, value in enumerate(sums)
            ]

        def across_replicas(
            distribution: tf.distribute.Strategy, gradients: Sequence[Gradient]
        ) -> tf.Operation:
            def step() -> None:
                if no_merge_call:
                    apply(mean(sums, seen))
                else:
                    distribution.extended.call_for_each_replica(
                        lambda sums, seen: apply(mean(sums, seen)),
                        args=(tuple(sums), tuple(seen)),
                    )
                both = [*sums, *seen]
                _change(distribution, both, _clear, (0.0,) * len(both))
                self.count.assign(0)

            found = dict(zip(present, gradients))
            _change(distribution, [sums[i] for i in present], _add, tuple(gradients))
            marked = [(flag, found[i]) for i, flag in zip(flagged, seen) if i in found]
            if marked:
                flags, own = zip(*marked)
                _change(distribution, flags, _mark, own)
            self.count.assign_add(1)
            # In a cross-replica context: no replica may merge inside of a branch.
            tf.cond(self.count >= self.steps, step, lambda: None)
            return tf.no_op()

        return tf.__internal__.distribute.interim.maybe_merge_call(
            across_replicas,
            tf.distribute.get_strategy(),
            tuple(gradients[index] for index in present),
        )


def _zeros(name: str, variable: tf.Variable, dtype: tf.DType) -> tf.Variable:
    """Makes a variable beside another one: of its shape, or a flag for each row."""
    shape = variable.shape[:1] if dtype == tf.bool else variable.shape
    strategy = tf.distribute.get_strategy()
    with strategy.extended.colocate_vars_with(variable):
        return tf.Variable(
            tf.zeros(shape, dtype),
            trainable=False,
            name=f"{name}/{variable._shared_name}",
        )


def _change(
    distribution: tf.distribute.Strategy,
    variables: Sequence[tf.Variable],
    change: Callable[[tf.Variable, Any], None],
    values: tuple[Any, ...],
) -> None:
    """Changes each variable by its value, on every device."""

    def on_device(
        first: tf.Variable, others: Sequence[tf.Variable], values: Sequence[Any]
    ) -> None:
        for variable, value in zip((first, *others), values):
            change(variable, value)

    distribution.extended.update(
        variables[0], on_device, args=(tuple(variables[1:]), values), group=False
    )


def _add(total: tf.Variable, gradient: Gradient) -> None:
    if isinstance(gradient, tf.IndexedSlices):
        # A row's sum first, as in a dense gradient: the same bits.
        first = first_positions(gradient.indices, total.shape[0])
        total.scatter_add(tf.cast(summed(gradient, first), total.dtype))
    else:
        total.assign_add(tf.cast(gradient, total.dtype))


def _mark(seen: tf.Variable, gradient: Gradient) -> None:
    """Marks the rows that a gradient has."""
    if isinstance(gradient, tf.IndexedSlices):
        marks = tf.ones_like(gradient.indices, tf.bool)
        seen.scatter_update(tf.IndexedSlices(marks, gradient.indices))
    else:
        seen.assign(tf.ones(seen.shape, tf.bool))


def _mean_of_rows(
    total: tf.Variable, seen: tf.Variable, steps: int
) -> tf.IndexedSlices:
    rows = tf.where(seen)[:, 0]
    return tf.IndexedSlices(tf.gather(total, rows) / steps, rows)


def _clear(variable: tf.Variable, _: float) -> None:
    variable.assign(tf.zeros(variable.shape, variable.dtype))
