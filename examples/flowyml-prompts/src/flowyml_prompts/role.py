"""The role ``prompt_registry``: a key of a stack that FlowyML itself does not know."""

from __future__ import annotations

from typing import Final

from flowyml.plugins import DeliveryHook, Role, hookspec
from flowyml.records import DeliveryContext, Receipt, StoredArtifact
from flowyml_prompts.prompts import Prompt

__all__ = ["PROMPT_REGISTRY", "PromptRegistrySpec"]


class PromptRegistrySpec:
    """Hooks of the role."""

    @hookspec(firstresult=True)
    def publish_prompt(
        self, artifact: Prompt, stored: StoredArtifact, context: DeliveryContext
    ) -> Receipt | None:
        """Publish a stored prompt as a new version of its name.

        Args:
            artifact: The prompt; loaded again from its store when a debt is paid.
            stored: Where it lies, and its digest.
            context: Run, step, output and idempotency key: a key that was published before is
                answered with what was published then.

        Returns:
            The version, as ``name@number``.
        """


PROMPT_REGISTRY: Final = Role(
    "prompt_registry",
    PromptRegistrySpec,
    hooks=(DeliveryHook("publish_prompt", "prompt_registry"),),
)
