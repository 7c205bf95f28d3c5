"""What a user may write to name an artifact, and how it is found."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from flowyml.errors import NotFoundError
from flowyml.metadata.artifacts import ArtifactTable
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.runs import AFTER_ANY, CANDIDATES, RECENT, RunTable
from flowyml.spelling import hint

__all__ = ["RUN", "References", "parted"]

DIGEST: Final = "sha256:"

SHORTEST: Final = 4
"""Digits that the beginning of a digest has at least, where it is written without ``sha256:``."""

RUN: Final = "run:"
"""May stand before the id of a run, to say that it is one."""

PLACES: Final = 5
"""How many runs with a step are looked through for an output, where no run is named.

That takes no index which every artifact would have to be written to; docs/cli.md says so.
"""

# The plus sign: a few rows of the run, not the whole table in the order of its ids.
FIRST_OF_STEP: Final = "SELECT min(+id) FROM artifacts WHERE run_id = ? AND step = ?"

# One digest may belong to a million artifacts: each look-up goes on behind the one before.
NEXT_DIGEST: Final = """
    SELECT digest FROM artifacts WHERE digest > ? AND digest < ? ORDER BY digest LIMIT 1
"""


@frozen(eq=False)
class References:
    """Finds an artifact by id, URI, ``RUN/output``, name, ``step.output`` or digest, in this order.

    An output is also named as a run tells of it, with its step before it: ``RUN/train.model``. The
    run may be left out, and the newest is meant; ``RUN:train.model`` means the same.

    A name goes before the bare beginning of a digest, because a user chose it: the model ``cafe``
    stays found when the digest of something else happens to begin with ``cafe``.

    Attributes:
        artifacts: The table of artifacts.
        runs: The table of runs.
    """

    artifacts: ArtifactTable
    runs: RunTable

    def find(self, reference: str) -> ArtifactRecord:
        """Return the one artifact that is meant, the newest where a name or a URI has several.

        Raises:
            NotFoundError: There is none, or the run or the digest has more than one meaning.
        """
        found = (
            self._by_id(reference)
            or self._by_uri(reference)
            or self._by_output(reference)
            or self.artifacts.newest_where("name = ?", (reference,))
            or self._by_place(reference)
            or self._by_digest(reference)
        )
        if found is None:
            raise NotFoundError(self._unknown(reference))
        return found

    def _by_id(self, reference: str) -> ArtifactRecord | None:
        if not (reference.isascii() and reference.isdigit() and len(reference) < len(str(2**63))):
            return None
        return self.artifacts.newest_where("id = ?", (int(reference),))

    def _by_uri(self, reference: str) -> ArtifactRecord | None:
        if "://" not in reference:
            return None
        return self.artifacts.newest_where("uri = ?", (reference,))

    def _by_output(self, reference: str) -> ArtifactRecord | None:
        run_id, place = self._of_run(reference)
        if not run_id:
            return None
        output = self.artifacts.newest_where("run_id = ? AND output = ?", (run_id, place))
        told = (self._in_run(run_id, *parts) for parts in _places(place))
        return output or next(filter(None, told), None)

    def _of_run(self, reference: str) -> tuple[str, str]:
        """Part a reference into a run and what of it is meant; no run where none is named.

        A name may hold a slash as well, and a URI does: what is no run is tried as those.
        """
        run, place = parted(reference)
        if not reference.startswith(RUN) and not (place and self.runs.with_prefix(run)):
            return "", reference
        return self.runs.find(run).run_id, place

    def _in_run(self, run_id: str, step: str, output: str) -> ArtifactRecord | None:
        place = (run_id, step, output)
        return self.artifacts.newest_where("run_id = ? AND step = ? AND output = ?", place)

    def _by_place(self, reference: str) -> ArtifactRecord | None:
        for step, output in _places(reference):
            if found := self._of_newest_run(step, output):
                return found
        return None

    def _of_newest_run(self, step: str, output: str) -> ArtifactRecord | None:
        """Return an output of the newest run that has it; steps of other pipelines lie between."""
        last = self.artifacts.newest_where("step = ?", (step,))
        for _ in range(PLACES):
            if last is None:
                break
            if found := self._in_run(last.run_id, step, output):
                return found
            row = self.artifacts.database.row(FIRST_OF_STEP, (last.run_id, step))
            first = row[0] if row else 0
            last = self.artifacts.newest_where("step = ? AND id < ?", (step, first))
        return None

    def _step_of(self, reference: str) -> str | None:
        """Return the step that a reference names, if any run has stored something of it."""
        steps = (step for step, _ in _places(reference))
        return next((step for step in steps if self.artifacts.newest(step=step, limit=1)), None)

    def _by_digest(self, reference: str) -> ArtifactRecord | None:
        digits = reference.removeprefix(DIGEST).lower()
        shortest = 1 if reference.startswith(DIGEST) else SHORTEST
        if len(digits) < shortest or not set(digits) <= set(string.hexdigits):
            return None
        if whole := self.artifacts.newest_where("digest = ?", (DIGEST + digits,)):
            return whole
        candidates = self._digests(DIGEST + digits)
        if len(candidates) > 1:
            raise NotFoundError(self._ambiguous(reference, candidates))
        if not candidates:
            return None
        return self.artifacts.newest_where("digest = ?", (candidates[0],))

    def _digests(self, prefix: str) -> list[str]:
        """Return the digests that begin like this, one more than a message lists at most."""
        found: list[str] = []
        while len(found) <= CANDIDATES:
            bounds = (found[-1] if found else prefix, prefix + AFTER_ANY)
            row = self.artifacts.database.row(NEXT_DIGEST, bounds)
            if row is None:
                break
            found.append(row[0])
        return found

    def _ambiguous(self, reference: str, candidates: list[str]) -> str:
        listed = ", ".join(digest[: len(DIGEST) + 12] for digest in candidates[:CANDIDATES])
        more = ", ..." if len(candidates) > CANDIDATES else ""
        return (
            f"the digest {reference!r} is ambiguous in {self.artifacts.database.path}, it may be "
            f"{listed}{more}; give more of its digits"
        )

    def _unknown(self, reference: str) -> str:
        path = self.artifacts.database.path
        recent = self.artifacts.newest(limit=RECENT)
        if not recent:
            return f"no artifact {reference!r} in {path}: it has none; try `flowyml run`"
        run_id, place = self._of_run(reference)
        known = {artifact.name for artifact in recent}
        known |= {f"{artifact.run_id}/{artifact.output}" for artifact in recent}
        known |= {f"{artifact.step}.{artifact.output}" for artifact in recent}
        meant = hint(reference.removeprefix(RUN), sorted(known), most=3)
        missing = f"no artifact {reference!r} in {path}"
        if run_id:
            missing = f"the run {run_id!r} stored no output {place!r} in {path}"
        elif step := self._step_of(reference):
            missing += f", where the {PLACES} newest runs with a step {step!r} were looked through"
        return (
            f"{missing}{meant} (an artifact is named by its id, its URI, RUN/output, its name, "
            "step.output or its digest; `flowyml artifact list` shows the newest)"
        )


def parted(reference: str) -> tuple[str, str]:
    """Part ``RUN/output`` or ``RUN:output``, with or without ``run:`` before it."""
    run, *rest = re.split("[/:]", reference.removeprefix(RUN), maxsplit=1)
    return run, "".join(rest)


def _places(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a text with dots in it may mean as a step and its output, the first dot first."""
    for dot in (found.start() for found in re.finditer(r"\.", text)):
        yield text[:dot], text[dot + 1 :]
        yield text[:dot], text  # what a step stored by a call has its name before it already
