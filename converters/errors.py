"""What goes wrong in a conversion."""


class ConversionError(Exception):
    """A model cannot be converted, or a file does not say what its model says.

    The message names the layer or the figure at fault and what to do.
    """
