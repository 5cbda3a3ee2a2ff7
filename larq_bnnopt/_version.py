"""The version of the package, which setup.py reads and commands import."""

__version__ = "0.1.0"
