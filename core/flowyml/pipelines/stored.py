"""The outputs of a run, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from flowyml.errors import NotFoundError
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.store import MetadataStore
from flowyml.routing.curves import holders_of
from flowyml.routing.reader import Reader
from flowyml.stacks.project import Project
from flowyml.stacks.stack import Stack

__all__ = ["Outputs"]


@frozen(eq=False, repr=False)
class Outputs(Mapping[str, Any]):
    """The outputs of a run; each is loaded when it is asked for, every time anew.

    Attributes:
        run_id: Id of the run.
        artifacts: What its steps stored, by output.
    """

    run_id: str
    artifacts: Mapping[str, ArtifactRecord]
    _project: Project
    _stack: Callable[[], Stack]

    @classmethod
    def of(
        cls,
        run_id: str,
        artifacts: Sequence[ArtifactRecord],
        project: Project,
        stack: Callable[[], Stack],
    ) -> Outputs:
        """Return the outputs among the artifacts of a run."""
        return cls(run_id, {record.output: record for record in artifacts}, project, stack)

    def __getitem__(self, name: str) -> Any:
        """Load an output, one element of it (``models.0``), or what was yielded before it.

        Raises:
            NotFoundError: The run stored no such output.
        """
        if name not in self:
            listed = ", ".join(self) or "none"
            message = f"the run {self.run_id!r} stored no output {name!r} (it has: {listed})"
            raise NotFoundError(message)
        with MetadataStore.read(self._project.metadata_path) as metadata:
            return Reader(self._stack(), metadata).output(name, self.artifacts)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.artifacts if "." not in name)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(holders_of(name, self.artifacts))

    def __repr__(self) -> str:
        """Name the outputs without loading them."""
        return f"<outputs of {self.run_id}: {', '.join(self)}>"
