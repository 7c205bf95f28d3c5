"""The same chain on Dagster in process, with its default storage of pickles."""

import json
import logging
import sys
import tempfile
import time

import dagster

logging.disable(logging.CRITICAL)
count = int(sys.argv[1])


def numbered(number):
    """Make one op that takes the result of the one before."""
    if number:

        @dagster.op(name=f"step_{number}")
        def work(before):
            return {"answer": number}
    else:

        @dagster.op(name=f"step_{number}")
        def work():
            return {"answer": number}

    return work


ops = [numbered(number) for number in range(count)]


@dagster.job(executor_def=dagster.in_process_executor)
def chain():
    """Wire the ops one after the other."""
    last = ops[0]()
    for work in ops[1:]:
        last = work(last)


with tempfile.TemporaryDirectory() as home, dagster.DagsterInstance.local_temp(home) as instance:
    started = time.process_time()
    result = chain.execute_in_process(instance=instance)
    seconds = time.process_time() - started
    assert result.success
print(json.dumps({"seconds": [seconds]}))
