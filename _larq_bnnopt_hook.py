"""The import hook that chooses Keras 2 where larq is imported before this project.

Python reads `larq_bnnopt.pth` when it starts, which installs the hook. larq uses
`tf.keras` while it is imported, and cannot be imported under Keras 3; a process that
never imports it is left as it is: no variable is set for it, and nothing else is
imported.
"""

import sys

# They resolve tf.keras while they are imported.
_NEED_KERAS_2 = ("larq", "larq_zoo", "larq_compute_engine")


class _BeforeLarq:
    """A finder that finds nothing: Python asks it before it looks for larq."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Chooses Keras 2, or raises an ImportError that says why it cannot."""
        if name in _NEED_KERAS_2:
            from _larq_bnnopt_keras import use_keras_2

            use_keras_2()


def install():
    """Makes Python ask the hook at each import."""
    sys.meta_path.insert(0, _BeforeLarq)
