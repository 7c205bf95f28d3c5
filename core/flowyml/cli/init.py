"""``flowyml init``: a commented configuration and a pipeline that runs, to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click

from flowyml.cli.options import ProjectCommand
from flowyml.cli.screen import line
from flowyml.errors import ConfigurationError

__all__ = ["init"]

SCHEMA: Final = ".flowyml/schema.json"

CONFIG: Final = f"""\
# yaml-language-server: $schema={SCHEMA}
#
# Your code says what a step makes, this file says where it goes.

stacks:
  local:
    artifact_store: {{ type: local, path: .flowyml/artifacts }}
    model_registry: {{ type: local }}
    model_deployer: {{ type: local }}

    # Rules by type. What no rule says has a default that makes sense.
    artifact_routing:
      Model:
        register: true             # give it a name and a version in the model_registry
        deploy: true               # permit it to serve; the condition says when
        deploy_condition: manual   # or on_approval, or auto with thresholds:
        # deploy_min_metrics: {{ accuracy: 0.9 }}
      # Metrics:
      #   log_to_tracker: true     # once there is an experiment_tracker
      # default:
      #   path: "{{pipeline_name}}/{{run_id}}/{{output_name}}"

  # A second place for the same pipeline, after `pip install 'flowyml[aws,mlflow]'`.
  # Choose it with --stack, with FLOWYML_STACK, or with `flowyml stack set production`.
  #
  # production:
  #   artifact_store: {{ type: s3, bucket: my-bucket }}
  #   experiment_tracker: {{ type: mlflow, tracking_uri: ${{MLFLOW_URI:-http://localhost:5000}} }}

active_stack: local

# Names for `flowyml run NAME`.
pipelines:
  example: pipeline.py:pipeline
"""

PIPELINE: Final = '''\
"""A pipeline to begin with: `flowyml run pipeline.py`."""

from dataclasses import dataclass

from flowyml import Pipeline, context, step
from flowyml.core import Dataset, Metrics, Model


@dataclass
class Line:
    """What is trained: anything with `predict` can be served."""

    slope: float
    intercept: float

    def predict(self, xs: list[float]) -> list[float]:
        """Return the height of the line at each place."""
        return [self.slope * x + self.intercept for x in xs]


@step(outputs=["points"])
def make_points(count: int) -> Dataset:
    """Make points of a line; `count` comes from the context, or from `--param count=20`."""
    return Dataset([{"x": x, "y": 3 * x + 1} for x in range(count)], name="points")


@step(inputs=["points"], outputs=["model"])
def fit(points: Dataset) -> Model:
    """Fit a line through the points by least squares."""
    rows = points.data
    mean_x = sum(row["x"] for row in rows) / len(rows)
    mean_y = sum(row["y"] for row in rows) / len(rows)
    slope = sum((row["x"] - mean_x) * (row["y"] - mean_y) for row in rows) / sum(
        (row["x"] - mean_x) ** 2 for row in rows
    )
    return Model(Line(slope, mean_y - slope * mean_x), name="line")


@step(inputs=["model", "points"], outputs=["metrics"])
def evaluate(model: Model, points: Dataset) -> Metrics:
    """Measure how far the line is from the points."""
    rows = points.data
    heights = model.data.predict([row["x"] for row in rows])
    errors = [abs(height - row["y"]) for height, row in zip(heights, rows, strict=True)]
    return Metrics({"mean_error": sum(errors) / len(errors), "points": len(errors)})


pipeline = Pipeline("example", context=context(count=10))
pipeline.add_step(make_points)
pipeline.add_step(fit)
pipeline.add_step(evaluate)

if __name__ == "__main__":
    print(pipeline.run())
'''


@click.command(cls=ProjectCommand)
@click.argument("folder", default=".", type=click.Path(file_okay=False), required=False)
def init(*, folder: str) -> None:
    """Write flowyml.yaml and pipeline.py into FOLDER, by default this one.

    Nothing that is there already is overwritten.
    """
    place = Path(folder)
    files = {place / "flowyml.yaml": CONFIG, place / "pipeline.py": PIPELINE}
    taken = [str(path) for path in files if path.exists()]
    if taken:
        message = f"there is a {' and a '.join(taken)} already; nothing was written"
        raise ConfigurationError(message)
    try:
        _write_all(files, place)
    except OSError as cause:
        message = f"the files cannot be written into {folder}: {cause}; none was left there"
        raise ConfigurationError(message) from cause
    line(f"`flowyml run pipeline.py` in {place.resolve()} runs it.")


def _write_all(files: Mapping[Path, str], folder: Path) -> None:
    """Write every file, or leave none: half a file would be in the way of the next command."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        for path, content in files.items():
            with path.open("x", encoding="utf-8") as file:
                undo.callback(path.unlink)
                file.write(content)
        _write_schema(folder / SCHEMA, undo)
        undo.pop_all()
    for path in (*files, folder / SCHEMA):
        line(f"wrote {path}")


def _write_schema(path: Path, undo: ExitStack) -> None:
    """Write the schema, over an earlier one only when it is whole."""
    import json

    from flowyml.stacks.schema import json_schema

    path.parent.mkdir(exist_ok=True)
    staged = path.with_suffix(".part")
    undo.callback(staged.unlink, missing_ok=True)
    staged.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
    staged.replace(path)
