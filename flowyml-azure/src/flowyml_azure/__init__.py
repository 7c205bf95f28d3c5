"""Azure Blob Storage for FlowyML."""

__version__ = "3.0.0"
