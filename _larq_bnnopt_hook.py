"""What chooses Keras 2 when larq is imported before the packages of this project.

Python reads `larq_bnnopt.pth` when it starts, which installs this. larq uses `tf.keras`
while it is imported, and cannot be imported under Keras 3; a process that never imports
it is left as it is: no variable is set for it, and nothing else is imported.
"""

import sys

# They resolve tf.keras while they are imported.
_NEED_KERAS_2 = ("larq", "larq_zoo", "larq_compute_engine")


class _BeforeLarq:
    """A finder that finds nothing, and is asked before larq is found."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Chooses Keras 2, or raises an ImportError that says why it cannot."""
        if name in _NEED_KERAS_2:
            from _larq_bnnopt_start import use_keras_2

            use_keras_2()


def install():
    """Waits for an import of larq."""
    sys.meta_path.insert(0, _BeforeLarq)
