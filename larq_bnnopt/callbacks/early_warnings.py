"""Warnings during training: no flips, flips that do not settle, kernels of one sign."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence

# A rate that fell to this share of its largest value has decayed.
_DECAYED = 0.1
# A kernel with a larger share of equal signs learns nothing.
_ONE_SIGN = 0.99
# A warning names this many layers at most; the table of layers has all.
_MOST_NAMES = 5


@dataclasses.dataclass(frozen=True)
class _Peak:
    """The largest value of a rate, and the flips by kernel in that epoch."""

    rate: float
    flips: Mapping[str, float]


class EarlyWarnings:
    """Checks each epoch, and warns of each kernel once.

    Args:
        epochs: Number of epochs of the whole training, with the earlier ones of a
            resumed run.
    """

    def __init__(self, epochs: int):
        self._epochs = epochs
        # Names of kernels, each with the kind of its warning.
        self._warned: set[tuple[str, str]] = set()
        self._peaks: dict[str, _Peak] = {}

    def check_epoch(
        self,
        epoch: int,
        flips: Mapping[str, float],
        positive: Mapping[str, float],
        dead: Mapping[str, float | None],
        rates: Mapping[str, float],
    ) -> None:
        """Warns of the faults of one epoch.

        Args:
            epoch: The epoch, from 0.
            flips: Share of weights that flip in a step, by kernel.
            positive: Share of weights that are positive, by kernel.
            dead: Share of weights without a gradient, by kernel; `None` where nobody
                knows, or an embedding had no row to train.
            rates: Rates of the optimizer at the end of the epoch, by name.
        """
        # Towards the end of a training the rates fall to zero, and with them the flips.
        if 2 * epoch < self._epochs:
            self._warn_of_no_flips(epoch, flips, dead)
        self._warn_of_one_sign(epoch, positive)
        self._warn_of_unsettled_flips(epoch, flips, rates)

    def _warn_of_no_flips(
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
                f"{epoch + 1}, so none flipped. Find what stops the gradient: a layer "
                "without one, or activations outside of the range in which their "
                "quantizer passes gradients."
            )
        if fed:
            _warn(
                f"No binary weight of {named(fed)} flipped in epoch {epoch + 1}, "
                "though there are gradients: raise the learning rate, or lower the "
                "threshold or the horizon of the averages of their optimizer."
            )

    def _warn_of_one_sign(self, epoch: int, positive: Mapping[str, float]) -> None:
        low, high = 1 - _ONE_SIGN, _ONE_SIGN
        stuck = [name for name, share in positive.items() if not low < share < high]
        stuck = self._new("one sign", stuck)
        if stuck:
            shares = named([f"{name} ({positive[name]:.1%})" for name in stuck])
            _warn(
                "Nearly all binary weights of a layer have one sign after epoch "
                f"{epoch + 1}. Positive shares: {shares}. Initialize signs at random, "
                "as zx.initializers.BernoulliSign does, or lower the learning rate."
            )

    def _warn_of_unsettled_flips(
        self, epoch: int, flips: Mapping[str, float], rates: Mapping[str, float]
    ) -> None:
        for rate, value in rates.items():
            peak = self._peaks.get(rate)
            if peak is None or value >= peak.rate:
                self._peaks[rate] = _Peak(value, dict(flips))
                continue
            if value > _DECAYED * peak.rate:
                continue
            unsettled = [
                name
                for name, ratio in flips.items()
                if name in peak.flips and ratio >= peak.flips[name] > 0
            ]
            unsettled = self._new("unsettled", unsettled)
            if unsettled:
                _warn(
                    f"The flips of {named(unsettled)} do not settle: in epoch "
                    f"{epoch + 1} as many weights flip in a step as when {rate} was "
                    f"{peak.rate:.3g}, and it is {value:.3g} now. A smaller rate does "
                    "not help weights that flip back and forth: lengthen the horizon "
                    "of the optimizer's averages, or clip latent weights."
                )

    def _new(self, kind: str, names: list[str]) -> list[str]:
        """Returns the names without a warning of this kind so far, and records them."""
        new = [name for name in names if (name, kind) not in self._warned]
        self._warned.update((name, kind) for name in new)
        return new


def named(names: Sequence[str]) -> str:
    """Returns names for a sentence: at most five, and the number of the others.

    Example:
        >>> named(["a", "b"]), named(list("abcdefgh"))
        ('a, b', 'a, b, c, d, e and 3 more')
    """
    rest = len(names) - _MOST_NAMES
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {rest} more" if rest > 0 else shown


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)
