"""How a Python value becomes files and comes back, exactly or not at all."""

from __future__ import annotations

from flowyml.serialization.contract import PickleWarning, RefusedError, Serializer
from flowyml.serialization.packing import Packed, check_class, pack, serializer_name
from flowyml.serialization.tagged import decode, encode
from flowyml.serialization.unpacking import unpack, unpack_data

__all__ = [
    "Packed",
    "PickleWarning",
    "RefusedError",
    "Serializer",
    "check_class",
    "decode",
    "encode",
    "pack",
    "serializer_name",
    "unpack",
    "unpack_data",
]
