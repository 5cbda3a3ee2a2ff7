"""Folders for a device: a file, its metadata and the answers to expect."""
