"""What travels into the containers that serve models."""
