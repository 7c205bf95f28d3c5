"""``python -m benchmarks``: measure every section, or those that ``--only`` names."""

from __future__ import annotations

import sys

from benchmarks.running import run

sys.exit(run(sys.argv[1:]))
