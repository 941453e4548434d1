"""Who may ask, told by Host and Origin, and what browsers may do with the answers: for every route and every socket."""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mario_rl.watch.port import Address, in_url

SEALS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HOST = re.compile(r"(?P<name>\[[^\[\]]+\]|[^\[\]:]+)(:(?P<port>\d{1,5}))?", re.ASCII)
ANSWERS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
REFUSAL = PlainTextResponse("refused: open the page by this machine's own name or address\n", 403)


class Guard:
    """Stands before an application: refuses strangers with 403 and puts the same headers on every answer.

    Args:
        app: the application.
        address: where it is served.
    """

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._app, self._address = app, address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_sealed(message: Message) -> None:
            if message["type"] in ANSWERS:
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(SEALS)
            await send(message)

        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif is_ours(Headers(scope=scope), self._address):
            await self._app(scope, receive, send_sealed)
        else:
            await REFUSAL(scope, receive, send_sealed)


def is_ours(headers: Headers, address: Address) -> bool:
    """Whether a request comes from a page of this server, or a program, and not from another site in a browser.

    Another site is told by its Origin. One whose name was made to point here (DNS rebinding) passes for the same
    origin, but browsers then name it as the Host; so that must be a name that nobody else can have.
    """
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or len(origins) > 1:
        return False
    host = hosts[0].lower()
    return _is_named(host, address) and all(one.lower() in (f"http://{host}", f"https://{host}") for one in origins)


def _is_named(host: str, address: Address) -> bool:
    """Whether a Host is one of this server's own.

    On loopback that is a name of loopback, and the port. Where others reach it, perhaps through another port, it is the
    host that was asked for, this machine's name, or an address, which no site can have for a name.
    """
    found = HOST.fullmatch(host)
    if found is None:
        return False
    name, given = found["name"], in_url(address.host).lower()
    if not address.is_open:
        return name in (*LOOPBACK, given) and int(found["port"] or 80) == address.port
    machine = socket.gethostname().lower()
    short = machine.partition(".")[0]
    return name in ("localhost", given, machine, short, f"{short}.local") or _is_ip(name)


def _is_ip(name: str) -> bool:
    try:
        return ip_address(name.strip("[]")).version == (6 if name.startswith("[") else 4)
    except ValueError:
        return False
