"""Chains or fans of steps that each return a small dict, with everything on.

``flowyml_steps.py SHAPE COUNT...`` prints the seconds of each, after one that is not counted.
"""

import json
import sys
import time

from flowyml import Pipeline, step

shape, counts = sys.argv[1], [int(count) for count in sys.argv[2:]]


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


def seconds(count):
    """Run so many steps; return the seconds that it takes."""
    pipeline = Pipeline("bench")
    for position in range(count):
        chained = shape == "chain" and position > 0
        pipeline.add_step(numbered(position, f"out_{position - 1}" if chained else None))
    started = time.process_time()
    result = pipeline.run()
    assert result.success, result
    return time.process_time() - started


seconds(10)
print(json.dumps({"seconds": [seconds(count) for count in counts]}))
