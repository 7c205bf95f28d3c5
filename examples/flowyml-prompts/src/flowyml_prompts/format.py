"""The format of a prompt: a text file that people read, with its facts beside it."""

from __future__ import annotations

import json
from typing import ClassVar

from flowyml.errors import SerializationError
from flowyml.serialization.contract import Write
from flowyml.storage.files import FileSink, FileSource
from flowyml_prompts.prompts import Template

__all__ = ["PromptFormat"]

TEXT = "prompt.txt"
FACTS = "prompt.json"


class PromptFormat:
    """Writes a `Template` as text and JSON."""

    name: ClassVar[str] = "prompt"
    version: ClassVar[int] = 1
    runs_code: ClassVar[bool] = False

    def writer(self, value: object) -> Write:
        """Return what writes the two files."""
        if type(value) is not Template:
            message = f"the format 'prompt' holds a Template, not a {type(value).__name__}"
            raise SerializationError(message)
        try:
            text = value.text.encode()
            facts = json.dumps({"model": value.model}).encode()
        except (TypeError, UnicodeEncodeError) as cause:
            message = f"the prompt is not text that could be written: {cause}"
            raise SerializationError(message) from cause

        def write(sink: FileSink) -> None:
            sink.put(TEXT, text)
            sink.put(FACTS, facts)

        return write

    def read(self, source: FileSource, *, trusted: bool) -> Template:
        """Return the template again."""
        del trusted
        try:
            with source.open(TEXT) as file:
                text = file.read().decode()
            with source.open(FACTS) as file:
                facts = json.load(file)
            return Template(text, facts["model"])
        except (ValueError, TypeError, KeyError) as cause:
            message = f"the files are not those of a prompt: {cause}"
            raise SerializationError(message) from cause
