"""Google Cloud Storage, the Vertex AI Model Registry, Vertex AI endpoints and jobs for FlowyML."""

__version__ = "3.0.0"
