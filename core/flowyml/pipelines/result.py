"""What a run comes to."""

from __future__ import annotations

import html

from attrs import field, frozen

from flowyml.errors import FlowyMLError, IncompleteRunError, StepError
from flowyml.metadata.rows import ArtifactRecord, DeliveryRecord, StepRecord
from flowyml.metadata.store import MetadataStore
from flowyml.pipelines.stored import Outputs
from flowyml.records import CONTEXT, DeliveryStatus, RunStatus, StepStatus
from flowyml.stacks.project import Project
from flowyml.stacks.stack import Stack

__all__ = ["RunResult", "read_result"]


@frozen(eq=False, repr=False)
class RunResult:
    """How a run went, what it stored and what it delivered.

    Attributes:
        run_id: Id of the run.
        pipeline: Name of the pipeline.
        stack: Name of the stack.
        status: How it ended.
        outputs: What its steps returned, by output; loaded when asked for.
        steps: How each step ended.
        artifacts: What was stored.
        deliveries: What was delivered, is owed, waits or was skipped.
        error: Why it failed.
    """

    run_id: str
    pipeline: str
    stack: str
    status: RunStatus
    outputs: Outputs
    steps: tuple[StepRecord, ...] = ()
    artifacts: tuple[ArtifactRecord, ...] = ()
    deliveries: tuple[DeliveryRecord, ...] = ()
    error: FlowyMLError | None = field(default=None)

    @property
    def success(self) -> bool:
        """Whether all steps ran and everything was delivered."""
        return self.status is RunStatus.DONE

    def raise_for_status(self) -> None:
        """Do nothing for a run that is done.

        Raises:
            StepError: A step failed; what it raised in this process is the cause.
            IncompleteRunError: Deliveries are owed, or the run was interrupted.
        """
        if self.success:
            return
        if self.status is RunStatus.FAILED:
            raise self._failure()
        debts = [delivery for delivery in self.deliveries if delivery.is_debt]
        why = f"owes {len(debts)} deliveries" if debts else f"is {self.status}"
        message = f"run {self.run_id} {why}; `flowyml resume {self.run_id}` goes on with it"
        raise IncompleteRunError(message)

    def _failure(self) -> FlowyMLError:
        error = self.error or StepError(f"run {self.run_id} failed", step="")
        if error.__cause__ is None:
            return error
        # The cause brings its own traceback: the message need not repeat it.
        short = StepError(_first_line(error), step=getattr(error, "step", ""))
        short.__cause__ = error.__cause__
        return short

    def __repr__(self) -> str:
        """Show id and status."""
        return f"<run {self.run_id} of {self.pipeline!r}: {self.status}>"

    def __str__(self) -> str:
        """Tell for each output where it went, in lines for a terminal."""
        lines = [f"run {self.run_id}  {self.pipeline} on {self.stack}: {self.status}"]
        delivered = self._by_output()
        for deliveries in delivered.get(CONTEXT, {}).values():  # those of the run as a whole
            lines += [f"  {CONTEXT}", *(f"      {_told(delivery)}" for delivery in deliveries)]
        for step in self.steps:
            lines.append(f"  {step.name}: {_ended(step)}")
            for output, deliveries in delivered.get(step.name, {}).items():
                lines.append(f"    {output}")
                lines += [f"      {_told(delivery)}" for delivery in deliveries]
        if self.error is not None:
            lines.append(f"  {_first_line(self.error)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Tell the same as a table, for a notebook."""
        delivered = self._by_output()
        whole = [CONTEXT] if CONTEXT in delivered else []
        rows = "".join(
            f"<tr><td>{html.escape(step)}</td><td>{html.escape(output)}</td>"
            f"<td>{'<br>'.join(html.escape(_told(delivery)) for delivery in deliveries)}</td></tr>"
            for step in (*whole, *(step.name for step in self.steps))
            for output, deliveries in delivered.get(step, {"": []}).items()
        )
        head = html.escape(f"{self.pipeline} on {self.stack}: {self.status} ({self.run_id})")
        why = f"<pre>{html.escape(str(self.error))}</pre>" if self.error else ""
        columns = "<tr><th>step</th><th>output</th><th>deliveries</th></tr>"
        return f"<table><caption>{head}</caption>{columns}{rows}</table>{why}"

    def _by_output(self) -> dict[str, dict[str, list[DeliveryRecord]]]:
        """Return the deliveries by step and output."""
        found: dict[str, dict[str, list[DeliveryRecord]]] = {}
        for delivery in self.deliveries:
            if delivery.component_type:  # else there was never anything to deliver it to
                outputs = found.setdefault(delivery.step, {})
                outputs.setdefault(delivery.output, []).append(delivery)
        return found


def read_result(
    metadata: MetadataStore,
    run_id: str,
    project: Project,
    stack: Stack,
    error: FlowyMLError | None = None,
) -> RunResult:
    """Return how a run went, from what is written down about it."""
    record = metadata.run(run_id)
    artifacts = tuple(reversed(metadata.artifacts(run_id=record.run_id)))
    return RunResult(
        run_id=record.run_id,
        pipeline=record.pipeline,
        stack=record.stack,
        status=record.status,
        outputs=Outputs.of(record.run_id, artifacts, project, lambda: stack),
        steps=tuple(metadata.steps(record.run_id)),
        artifacts=artifacts,
        deliveries=tuple(metadata.deliveries(record.run_id)),
        error=error,
    )


def _ended(step: StepRecord) -> str:
    if step.status is StepStatus.FAILED and step.error:
        return f"failed: {_first_line(step.error)}"
    cached = f" (cached from {step.cached_from})" if step.cached_from else ""
    return f"{step.status}{cached}"


def _told(delivery: DeliveryRecord) -> str:
    """Say in one line what became of a delivery."""
    said = delivery.deed
    if delivery.waits_for:
        return f"not {said} yet: {delivery.reason or f'waits for {delivery.waits_for}'}"
    if delivery.status is DeliveryStatus.DONE:
        return f"{said}: {delivery.reference or delivery.component}"
    if delivery.status is DeliveryStatus.SKIPPED:
        return f"not {said}: {delivery.reason or 'skipped'}"
    why = delivery.error or delivery.reason or "not tried yet"
    # What is not stored cannot be paid: its step runs again.
    owed = "" if delivery.hook == "store_artifact" else "owed, "
    return f"{owed}not {said} ({delivery.component}): {_first_line(why)}"


def _first_line(said: object) -> str:
    return str(said).partition("\n")[0]
