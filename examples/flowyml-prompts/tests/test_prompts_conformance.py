"""Registry, format and extension do what every one of their kind has to do."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flowyml.core import Artifact
from flowyml.errors import ConfigurationError, IntegrityError
from flowyml.testing import (
    ComponentContract,
    Deliveries,
    ExtensionContract,
    SerializerContract,
)
from flowyml_prompts import Prompt, Template
from flowyml_prompts.encryption import Encryption
from flowyml_prompts.format import PromptFormat
from flowyml_prompts.registry import FolderPromptRegistry
from flowyml_prompts.segments import SEGMENT, decrypting, encrypting

KEY = base64.b64encode(b"k" * 32).decode()


class TestFormat(SerializerContract):
    """The format."""

    @pytest.fixture
    def serializer(self) -> PromptFormat:
        """Return it."""
        return PromptFormat()

    @pytest.fixture
    def values(self) -> Sequence[object]:
        """Return prompts."""
        return [Template("Say {word}."), Template("", "small"), Template("ü 模型\r\n{x} {x}")]


class TestEncryption(ExtensionContract):
    """The extension."""

    imports = frozenset({"cryptography"})
    repeatable = False
    hides = True

    @pytest.fixture
    def new_extension(self) -> Callable[[], Encryption]:
        """Return a function that makes it."""
        return lambda: Encryption(key=KEY)


class TestRegistry(ComponentContract):
    """The registry; its role has no suite, so its own tests are below."""

    @pytest.fixture
    def new_component(self, tmp_path: Path) -> Callable[[], FolderPromptRegistry]:
        """Return a function that makes it."""
        return lambda: FolderPromptRegistry(folder=tmp_path / "prompts")

    def test_each_delivery_publishes_one_version(
        self, new_component: Callable[[], FolderPromptRegistry], tmp_path: Path
    ) -> None:
        """One that comes again finds what it published."""
        deliveries = Deliveries.of("run-1", tmp_path / "artifacts")
        prompt = Prompt("Say {word}.", name="../greeting")
        stored = deliveries.stored(prompt, "Prompt")
        contexts = [deliveries.context(), deliveries.context()]
        said = [
            new_component().publish_prompt(artifact=prompt, stored=stored, context=context)
            for context in (*contexts, *contexts)
        ]
        assert [receipt.reference for receipt in said] == ["../greeting@1", "../greeting@2"] * 2
        assert len(list((tmp_path / "prompts").rglob("*.json"))) == 2


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT])
def test_segments_come_back(tmp_path: Path, size: int) -> None:
    """Whole, at every border; cut off or exchanged they do not open."""
    content = bytes(number % 251 for number in range(size))
    file = tmp_path / "file"
    with file.open("wb") as target, encrypting(target, b"k" * 32) as stream:
        stream.write(content)
    with file.open("rb") as source:
        assert decrypting(source, b"k" * 32).read() == content
    for spoilt in (file.read_bytes()[:-1], file.read_bytes()[: 32 + SEGMENT + 16] + b"x"):
        file.write_bytes(spoilt)
        with file.open("rb") as source, pytest.raises(IntegrityError, match="another key"):
            decrypting(source, b"k" * 32).read()


def test_a_wrong_key_is_named_without_being_shown() -> None:
    """Whatever is wrong with it."""
    for wrong in ("not base64!", base64.b64encode(b"hunter2").decode()):
        with pytest.raises(ConfigurationError, match="encryption") as caught:
            Encryption(key=wrong)
        assert wrong not in str(caught.value)


def test_a_prompt_is_an_artifact() -> None:
    """With hooks of its own, and names that are filled in."""
    prompt = Prompt("Say {word} to {name}, {word}.")
    assert isinstance(prompt, Artifact)
    assert prompt.data.variables == ("word", "name")
    assert prompt.data.filled(word="hello", name="Ada") == "Say hello to Ada, hello."
