"""Addresses of servers, without what nobody should see in them."""

from __future__ import annotations

import re

__all__ = ["without_password"]

CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def without_password(text: str) -> str:
    """Take user names and passwords out of every URL in a text."""
    return CREDENTIALS.sub("", text)
