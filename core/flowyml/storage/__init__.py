"""The layout of a stored artifact, and the engine that all stores share."""
