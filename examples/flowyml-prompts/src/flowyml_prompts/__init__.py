"""Prompts as artifacts of FlowyML."""

from flowyml_prompts.prompts import Prompt, Template

__all__ = ["Prompt", "Template"]
