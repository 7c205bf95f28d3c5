"""What a user may write to name an artifact, and how it is found."""

from __future__ import annotations

import difflib
import string
from typing import Final

from attrs import frozen

from flowyml.errors import NotFoundError
from flowyml.metadata.artifacts import ArtifactTable
from flowyml.metadata.rows import ArtifactRecord
from flowyml.metadata.runs import AFTER_ANY, CANDIDATES, RECENT, RunTable

__all__ = ["References"]

DIGEST: Final = "sha256:"

SHORTEST: Final = 4
"""Digits that the beginning of a digest has at least, where it is written without ``sha256:``."""

# One digest may belong to a million artifacts: each look-up goes on behind the one before.
NEXT_DIGEST: Final = """
    SELECT digest FROM artifacts WHERE digest > ? AND digest < ? ORDER BY digest LIMIT 1
"""


@frozen(eq=False)
class References:
    """Finds an artifact by id, URI, ``RUN/output``, name or digest, tried in this order.

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
        run, _, output = reference.partition("/")
        # A name may hold a slash as well, and a URI does: what is no run is tried as those.
        if not output or not self.runs.with_prefix(run):
            return None
        run_id = self.runs.find(run).run_id
        return self.artifacts.newest_where("run_id = ? AND output = ?", (run_id, output))

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
        known = {artifact.name for artifact in recent}
        known |= {f"{artifact.run_id}/{artifact.output}" for artifact in recent}
        close = difflib.get_close_matches(reference, sorted(known), n=3)
        meant = f"did you mean {' or '.join(close)}? " if close else ""
        return (
            f"no artifact {reference!r} in {path}; {meant}an artifact is named by its id, its URI, "
            "RUN/output, its name or its digest, and `flowyml artifact list` shows the newest"
        )
