"""Models and graphs that cannot be converted, refused by name."""
