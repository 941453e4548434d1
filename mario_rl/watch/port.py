"""The port that the page is served on, taken before anything slow is begun."""

from __future__ import annotations

import socket

from mario_rl.errors import UserError


def bind(host: str, port: int) -> socket.socket:
    """Take a port.

    Raises:
        UserError: it is taken, or not to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        raise UserError(f"--port: {port} can't be had on {host} ({error.strerror}); name another --port") from error
    taken.listen()
    return taken
