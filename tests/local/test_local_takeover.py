"""Two servers share a port for a moment, and nobody is turned away."""

from __future__ import annotations

import socket
import sys

import pytest

from flowyml_local.takeover import lead_to_successor


def listening(port: int = 0) -> socket.socket:
    """Listen at a port, which others may share."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen(128)
    made.settimeout(10)
    return made


@pytest.mark.skipif(sys.platform != "linux", reason="other systems spread them as they like")
def test_whoever_comes_is_led_to_the_successor_also_when_it_is_alone() -> None:
    """None of a hundred reaches the one that is about to close; after that all go on."""
    with listening() as before:
        port = before.getsockname()[1]
        with listening(port) as successor:
            lead_to_successor(successor)
            for closed in (False, True):
                if closed:
                    before.close()
                for _ in range(50):
                    with socket.create_connection(("127.0.0.1", port), timeout=10):
                        successor.accept()[0].close()
