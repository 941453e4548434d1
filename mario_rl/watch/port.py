"""Where the page is served: the port, taken before anything slow is begun, and who can reach it there by what name."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from mario_rl.errors import UserError

DOCUMENTATION = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses that are nobody's (RFC 5737, RFC 3849), but lie outside of this machine."""


class Address(NamedTuple):
    """Where the page is served. host: as asked for. ip: what that turned out to be."""

    host: str
    ip: IPv4Address | IPv6Address
    port: int

    @property
    def is_open(self) -> bool:
        """Whether other machines reach it."""
        return not self.ip.is_loopback

    @property
    def url(self) -> str:
        """What to open on this machine."""
        here = "localhost" if self.ip.is_unspecified or self.host == "127.0.0.1" else self.host
        return f"http://{in_url(here)}:{self.port}/"

    @property
    def outside_url(self) -> str:
        """What to open on others."""
        return f"http://{in_url(_network_ip(self.ip) if self.ip.is_unspecified else self.host)}:{self.port}/"


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
    except (OSError, ValueError, TypeError) as error:  # the latter two: no name that could be looked up
        taken.close()
        why = getattr(error, "strerror", None) or "not a name"
        raise UserError(f"--port: {port} can't be had on {host} ({why}); name another --port or --host") from error
    taken.listen()
    return taken


def address_of(bound: socket.socket, host: str) -> Address:
    """Tell where a socket is bound that was asked for as `host`; "" and "0" too are all of this machine's addresses."""
    ip, port = bound.getsockname()[:2]
    return Address(host or ip, ip_address(ip), port)


def in_url(host: str) -> str:
    """Write a host as it stands in a URL: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _network_ip(ip: IPv4Address | IPv6Address) -> str:
    """Find this machine's address in its network, else its name; nothing is sent to find it."""
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as way_out:
        try:
            way_out.connect((DOCUMENTATION[family], 9))  # of a datagram socket this only picks the way out
        except OSError:
            return socket.gethostname()
        return str(way_out.getsockname()[0])
