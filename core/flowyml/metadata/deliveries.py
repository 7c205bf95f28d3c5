"""The table of deliveries: the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final

from attrs import frozen

from flowyml.errors import NotFoundError
from flowyml.metadata.columns import from_json, from_micros, plain_text, to_json, to_micros
from flowyml.metadata.database import Database, Row
from flowyml.metadata.rows import DeliveryRecord
from flowyml.records import DeliveryStatus

__all__ = ["DeliveryTable"]

SELECT: Final = """
    SELECT key, run_id, step, output, hook, component, component_type, status, created_at,
           updated_at, waits_for, reason, attempts, error, payload, reference, result
    FROM deliveries
"""

ADD: Final = """
    INSERT INTO deliveries (status, updated_at, waits_for, reason, attempts, error, payload,
                            reference, result, is_debt, key, run_id, step, output, hook, component,
                            component_type, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO NOTHING
"""

UPDATE: Final = """
    UPDATE deliveries
    SET status = ?, updated_at = ?, waits_for = ?, reason = ?, attempts = ?, error = ?, payload = ?,
        reference = ?, result = ?, is_debt = ?
    WHERE key = ?
"""

OF_RUN: Final = f"{SELECT} WHERE run_id = ?1 AND (?2 IS NULL OR waits_for = ?2) ORDER BY id"


@frozen(eq=False)
class DeliveryTable:
    """Adds, changes and lists deliveries.

    Attributes:
        database: Where the table is.
    """

    database: Database

    def add(self, deliveries: Sequence[DeliveryRecord]) -> int:
        """Add deliveries and return how many are new; one whose key is there stays as it is."""
        added = 0
        with self.database.transaction() if len(deliveries) > 1 else nullcontext():
            for delivery in deliveries:
                about = _about(delivery)
                values = (*_state(delivery, about), delivery.key, *_origin(delivery))
                added += self.database.write(ADD, values, about=about).rowcount
        return added

    def update(self, delivery: DeliveryRecord) -> None:
        """Write down how a delivery stands; what it delivers, and where to, never changes."""
        about = _about(delivery)
        values = (*_state(delivery, about), delivery.key)
        if not self.database.write(UPDATE, values, about=about).rowcount:
            message = (
                f"{about} is not in {self.database.path} (key {delivery.key}); "
                "add it before it is updated"
            )
            raise NotFoundError(message)

    def get(self, key: str) -> DeliveryRecord | None:
        """Return the delivery with this key, if there is one."""
        row = self.database.row(f"{SELECT} WHERE key = ?", (key,))
        return None if row is None else _delivery(row)

    def of_run(self, run_id: str, waits_for: str | None) -> list[DeliveryRecord]:
        """Return the deliveries of a run in the order in which they were added."""
        rows = self.database.rows(OF_RUN, (run_id, waits_for))
        return [_delivery(row) for row in rows]

    def debts(self, run_id: str | None) -> list[DeliveryRecord]:
        """Return what is owed, by one run or by all, in the order in which it was added."""
        if run_id is None:
            # The plus sign: sorting a few debts is quicker than walking the ledger in order.
            rows = self.database.rows(f"{SELECT} WHERE is_debt = 1 ORDER BY +id")
        else:
            owed = f"{SELECT} WHERE is_debt = 1 AND run_id = ? ORDER BY id"
            rows = self.database.rows(owed, (run_id,))
        return [_delivery(row) for row in rows]


def _about(delivery: DeliveryRecord) -> str:
    return f"the delivery {delivery.hook} of {delivery.run_id}/{delivery.output}"


def _state(delivery: DeliveryRecord, about: str) -> tuple[object, ...]:
    return (
        delivery.status.value,
        to_micros(delivery.updated_at),
        delivery.waits_for,
        plain_text(delivery.reason),
        delivery.attempts,
        plain_text(delivery.error),
        _json(delivery.payload, about),
        delivery.reference,
        _json(delivery.result, about),
        delivery.is_debt,
    )


def _origin(delivery: DeliveryRecord) -> tuple[object, ...]:
    return (
        delivery.run_id,
        delivery.step,
        delivery.output,
        delivery.hook,
        delivery.component,
        delivery.component_type,
        to_micros(delivery.created_at),
    )


def _json(value: dict[str, Any] | None, about: str) -> str | None:
    return None if value is None else to_json(value, about=about)


def _delivery(row: Row) -> DeliveryRecord:
    return DeliveryRecord(
        key=row[0],
        run_id=row[1],
        step=row[2],
        output=row[3],
        hook=row[4],
        component=row[5],
        component_type=row[6],
        status=DeliveryStatus(row[7]),
        created_at=from_micros(row[8]),
        updated_at=from_micros(row[9]),
        waits_for=row[10],
        reason=row[11],
        attempts=row[12],
        error=row[13],
        payload=None if row[14] is None else from_json(row[14]),
        reference=row[15],
        result=None if row[16] is None else from_json(row[16]),
    )
