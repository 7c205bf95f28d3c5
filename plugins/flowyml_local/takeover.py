"""Leading new connections to a successor that shares a port with its predecessor.

Left to itself, Linux spreads them over both. One that has reached the predecessor when that closes
its port is reset: the instant between the last look at who is in line and the closing cannot be
closed from within the predecessor.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

__all__ = ["lead_to_successor"]

ATTACH_PROGRAM: Final = 51
"""``SO_ATTACH_REUSEPORT_CBPF`` of ``asm-generic/socket.h``: what chooses among those who share."""

SUCCESSOR: Final = 1
"""Its place among them: they are counted from 0, in the order in which they began to listen."""

RETURN_CONSTANT: Final = 0x06
"""``BPF_RET | BPF_K`` of ``linux/bpf_common.h``."""


def lead_to_successor(listening: socket.socket) -> None:
    """Lead every connection that comes from now on to the second of two sockets at a port.

    When the first has closed, the second has its place, and the system chooses it for want of
    another. Where the system cannot do that, it goes on spreading them.

    Args:
        listening: One of the two; both listen.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(struct.pack("HBBI", RETURN_CONSTANT, 0, 0, SUCCESSOR))
    described = struct.pack("@HP", 1, ctypes.addressof(program))
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, ATTACH_PROGRAM, described)
