"""S3, the SageMaker Model Registry and SageMaker endpoints for FlowyML."""

__version__ = "3.0.0"
