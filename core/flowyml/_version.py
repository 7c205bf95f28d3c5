"""The version, read by the build and by `flowyml --version`."""

__version__ = "3.0.0"
