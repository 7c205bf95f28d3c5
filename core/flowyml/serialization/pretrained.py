"""Hugging Face models, tokenizers and processors, as ``save_pretrained`` writes them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError
from flowyml.serialization.classes import resolve
from flowyml.serialization.contract import Write
from flowyml.storage.files import FileSink, FileSource
from flowyml.storage.scratch import scratch_home

__all__ = ["Pretrained", "PretrainedModel"]

BELOW = "pretrained"


@frozen
class Pretrained:
    """``pretrained/…``: JSON and vocabularies, which run no code when they are read."""

    name: ClassVar[str] = "pretrained"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    def writer(self, value: Any) -> Write:
        """Let the library write its folder."""
        return lambda sink: _write(sink, value)

    def read(self, source: FileSource, *, trusted: bool) -> object:
        """Let the class that was stored read its folder; nothing is fetched from a hub."""
        cls = _class(source.manifest.python_type, trusted=trusted)
        with tempfile.TemporaryDirectory(dir=scratch_home()) as folder:
            _link(source, Path(folder))
            try:
                return self._load(cls, folder)
            except (OSError, LookupError, TypeError, ValueError) as cause:
                message = f"these are not the files of a {cls.__qualname__}: {cause}"
                raise SerializationError(message) from cause

    def _load(self, cls: Any, folder: str) -> object:
        return cls.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


@frozen
class PretrainedModel(Pretrained):
    """``pretrained/…``: the weights are read from safetensors only, never from a pickle."""

    def _load(self, cls: Any, folder: str) -> object:
        return cls.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )


def _write(sink: FileSink, value: Any) -> None:
    with sink.reserve(BELOW) as folder:
        value.save_pretrained(folder)


def _class(place: str, *, trusted: bool) -> Any:
    """Return the stored class; the library's own may be imported, a user's has to be trusted."""
    module, _, name = place.partition(":")
    if module.partition(".")[0] != "transformers":
        return resolve(place, trusted=trusted)
    import transformers

    found = getattr(transformers, name, None)
    if found is None:
        message = f"this transformers has no {name}; install the version that stored it"
        raise SerializationError(message)
    return found


def _link(source: FileSource, folder: Path) -> None:
    for file in source.manifest.files:
        target = folder / file.name.removeprefix(f"{BELOW}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.path(file.name).resolve())
