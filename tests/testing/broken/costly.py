"""A store whose module imports a large library at its top."""

# mypy: ignore-errors

import numpy as np
from attrs import define
from tests.testing.broken.sound_store import Sound

__all__ = ["Costly"]

VERSION = np.__version__


@define(slots=False)
class Costly(Sound):
    pass
