"""Independent steps that wait or compute, on so many workers."""

import json
import sys
import time
from pathlib import Path

work, executor, count, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

Path("flowyml.yaml").write_text(
    "stacks:\n  bench:\n    artifact_store: {type: local}\n"
    f"    orchestrator: {{type: local, executor: {executor}, max_workers: {workers}}}\n"
)
BODIES = {
    "wait": "import time; time.sleep(0.5)",
    "numpy": "import numpy; a = numpy.ones((900, 900)); [a @ a for _ in range(8)]",
    "python": "sum(n * n for n in range(4_000_000))",
}
steps = "\n".join(
    f"@step(outputs=['out_{n}'])\ndef step_{n}() -> dict:\n    {BODIES[work]}\n    return {{'n': {n}}}\n"
    for n in range(count)
)
adds = "\n".join(f"pipeline.add_step(step_{n})" for n in range(count))
Path("bench_pipeline.py").write_text(
    f"from flowyml import Pipeline, step\n{steps}\npipeline = Pipeline('bench')\n{adds}\n"
)

from flowyml.pipelines.finding import find_pipeline
from flowyml.stacks.active import current_project

pipeline = find_pipeline("bench_pipeline.py", current_project())
started = time.perf_counter()
result = pipeline.run()
assert result.success, result
print(json.dumps({"seconds": time.perf_counter() - started}))
