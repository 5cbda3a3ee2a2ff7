"""Packages for a device: a file, its metadata and its golden answers."""
