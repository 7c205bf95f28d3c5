"""S3, the SageMaker Model Registry, SageMaker endpoints and processing jobs for FlowyML."""

__version__ = "3.0.0"
