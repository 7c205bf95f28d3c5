"""The same chains on Kedro's sequential runner, with JSON data sets; nothing is recorded."""

import json
import logging
import sys
import time
from functools import partial

from kedro.io import DataCatalog
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

logging.disable(logging.CRITICAL)
counts = [int(count) for count in sys.argv[1:]]


def work(number, *_before):
    """Return a small dict."""
    return {"answer": number}


def seconds(count):
    """Run so many nodes; return the seconds that it takes."""
    nodes = [
        node(
            partial(work, number),
            inputs=[f"out_{number - 1}"] if number else None,
            outputs=f"out_{number}",
            name=f"step_{number}",
        )
        for number in range(count)
    ]
    catalog = DataCatalog({f"out_{n}": JSONDataset(filepath=f"{n}.json") for n in range(count)})
    started = time.process_time()
    SequentialRunner().run(pipeline(nodes), catalog)
    return time.process_time() - started


seconds(10)
print(json.dumps({"seconds": [seconds(count) for count in counts]}))
