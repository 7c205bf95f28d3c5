"""What a run tells of its deliveries while it goes on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowyml.cli.watch import PlainLines
from flowyml.metadata.rows import DeliveryRecord
from flowyml.records import DeliveryStatus


@pytest.mark.parametrize(
    ("step", "output", "named"),
    [
        ("train", "model", "train.model"),
        ("report", "report", "report.report"),
        ("train", "train.yielded-2", "train.yielded-2"),
        ("context", "context", "context"),
    ],
)
def test_an_output_is_named_as_its_user_would_name_it(step: str, output: str, named: str) -> None:
    """By step and output; a point by its own name, and the context is no step."""
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    told: list[str] = []
    PlainLines(told.append).delivery(
        DeliveryRecord(
            key="k",
            run_id="run-1",
            step=step,
            output=output,
            hook="log_metrics",
            component="experiment_tracker",
            component_type="mlflow",
            status=DeliveryStatus.FAILED,
            created_at=moment,
            updated_at=moment,
            attempts=1,
            error="the server is down",
        )
    )

    assert told == [f"{named}: log_metrics failed (attempt 1): the server is down"]
