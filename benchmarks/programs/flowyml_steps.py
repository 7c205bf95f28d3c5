"""A chain or a fan of steps that each return a small dict, with everything on."""

import json
import logging
import sys
import time

from flowyml import Pipeline, step

shape, count = sys.argv[1], int(sys.argv[2])


def numbered(number: int, before: str | None):
    """Make one step; in a chain it takes what the step before it returned."""
    inputs = [before] if before else []
    if before:
        source = f"def work({before}: dict) -> dict: return {{'answer': {number}}}"
    else:
        source = f"def work() -> dict: return {{'answer': {number}}}"
    names: dict = {}
    exec(source, names)
    names["work"].__name__ = f"step_{number}"
    return step(inputs=inputs, outputs=[f"out_{number}"])(names["work"])


pipeline = Pipeline("bench")
for position in range(count):
    chained = shape == "chain" and position > 0
    pipeline.add_step(numbered(position, f"out_{position - 1}" if chained else None))

started = time.perf_counter()
result = pipeline.run()
seconds = time.perf_counter() - started
assert result.success, result
logging.shutdown()
print(json.dumps({"seconds": seconds}))
