"""The same chain on Kedro's sequential runner, each result in a JSON data set; nothing is recorded."""

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
count = int(sys.argv[1])


def work(number, *_before):
    """Return a small dict."""
    return {"answer": number}


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
started = time.perf_counter()
SequentialRunner().run(pipeline(nodes), catalog)
print(json.dumps({"seconds": time.perf_counter() - started}))
