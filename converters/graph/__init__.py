"""The graph that is converted: frozen, edited, searched, run."""
