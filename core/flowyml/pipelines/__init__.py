"""Steps, the pipeline they form, and its run."""

from __future__ import annotations

import time
from typing import Final

__all__ = ["BEGUN"]

BEGUN: Final = time.time()
"""When this process began, as far as pipelines go: no step of it was defined before."""
