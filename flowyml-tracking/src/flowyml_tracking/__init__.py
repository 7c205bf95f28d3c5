"""MLflow, Weights & Biases and TensorBoard for FlowyML."""

__version__ = "3.0.0"
