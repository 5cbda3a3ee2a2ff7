"""Warnings while a training still runs: flips that stop, or do not, and stuck signs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

# A rate that fell to this share of its largest has decayed.
_DECAYED = 0.1
# More than this share of equal signs is no kernel that anything can be learned with.
# A sentence with more of them is not read; the table of layers has all.
_MOST_NAMES = 5
_ONE_SIGN = 0.99


class EarlyWarnings:
    """Looks at each epoch, and warns of each kernel once.

    Args:
        epochs: Number of epochs that the training will have, the earlier ones of a run
            that goes on included.
    """

    def __init__(self, epochs: int):
        self._epochs = epochs
        self._told: set[tuple[str, str]] = set()
        # The largest value of each rate, and the flips of that epoch.
        self._largest: dict[str, tuple[float, dict[str, float]]] = {}

    def look(
        self,
        epoch: int,
        flips: Mapping[str, float],
        positive: Mapping[str, float],
        dead: Mapping[str, float | None],
        rates: Mapping[str, float],
    ) -> None:
        """Warns of what is wrong with an epoch.

        Args:
            epoch: The epoch, from 0.
            flips: Share of weights that flip in a step, by kernel.
            positive: Share of weights that are positive, by kernel.
            dead: Share of weights without a gradient, by kernel.
            rates: Rates of the optimizer at its end, by name.
        """
        # Towards the end rates go to zero, and so do flips.
        if 2 * epoch < self._epochs:
            self._still(epoch, flips, dead)
        self._stuck(epoch, positive)
        self._unsettled(epoch, flips, rates)

    def _still(
        self,
        epoch: int,
        flips: Mapping[str, float],
        dead: Mapping[str, float | None],
    ) -> None:
        still = self._new("no flips", [name for name, r in flips.items() if not r])
        starved = [name for name in still if dead.get(name) == 1.0]
        fed = [name for name in still if name not in starved]
        if starved:
            _warn(
                f"No binary weight of {named(starved)} had a gradient in epoch "
                f"{epoch + 1}, so none flipped. Look for what stops it: a layer "
                "without gradient, or activations outside of the clipping of their "
                "quantizer."
            )
        if fed:
            _warn(
                f"No binary weight of {named(fed)} flipped in epoch {epoch + 1}, "
                "though there are gradients: raise the learning rate, or lower the "
                "threshold or the memory of the optimizer that trains them."
            )

    def _stuck(self, epoch: int, positive: Mapping[str, float]) -> None:
        low, high = 1 - _ONE_SIGN, _ONE_SIGN
        stuck = [name for name, share in positive.items() if not low < share < high]
        stuck = self._new("one sign", stuck)
        if stuck:
            shares = named([f"{name} ({positive[name]:.1%})" for name in stuck])
            _warn(
                "Nearly all binary weights of a layer have one sign after epoch "
                f"{epoch + 1}; positive are, of {shares}. Initialize signs at random, "
                "as zx.initializers.BernoulliSign does, or lower the learning rate."
            )

    def _unsettled(
        self, epoch: int, flips: Mapping[str, float], rates: Mapping[str, float]
    ) -> None:
        for rate, value in rates.items():
            largest, then = self._largest.get(rate, (-1.0, {}))
            if value >= largest:
                self._largest[rate] = (value, dict(flips))
                continue
            if value > _DECAYED * largest:
                continue
            more = [
                name
                for name, ratio in flips.items()
                if name in then and ratio >= then[name] > 0
            ]
            more = self._new("unsettled", more)
            if more:
                _warn(
                    f"The flips of {named(more)} do not settle: in epoch "
                    f"{epoch + 1} as many weights flip in a step as when {rate} was "
                    f"{largest:.3g}, and it is {value:.3g} now. Weights that flip to "
                    "and fro have no use for a smaller rate: lengthen the memory of "
                    "the optimizer, or clip latent weights."
                )

    def _new(self, kind: str, names: list[str]) -> list[str]:
        """Returns those that were not warned of yet, and remembers them."""
        new = [name for name in names if (name, kind) not in self._told]
        self._told.update((name, kind) for name in new)
        return new


def named(names: Sequence[str]) -> str:
    """Returns names for a sentence; of many the first, and how many there are.

    Example:
        >>> named(["a", "b"]), named(list("abcdefgh"))
        ('a, b', 'a, b, c, d, e and 3 more')
    """
    rest = len(names) - _MOST_NAMES
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {rest} more" if rest > 0 else shown


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)
