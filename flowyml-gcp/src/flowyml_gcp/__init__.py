"""Google Cloud Storage, the Vertex AI Model Registry and Vertex AI endpoints for FlowyML."""

__version__ = "3.0.0"
