"""Who may ask, and what every answer says to the browser."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from own_loop import run_async
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Scope
from starlette.websockets import WebSocket

from mario_rl.watch.guard import SEALS, Guard, is_ours
from mario_rl.watch.port import Address

HERE = Address("127.0.0.1", ip_address("127.0.0.1"), 8000)
EVERYWHERE = Address("0.0.0.0", ip_address("0.0.0.0"), 8000)
NAMED = Address("mario.lan", ip_address("192.0.2.7"), 8000)
MACHINE = "box.example.com"


@pytest.fixture(autouse=True, scope="module")
def machine():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: MACHINE)
        yield


@pytest.mark.parametrize(
    ("address", "host", "ours"),
    [
        (HERE, "127.0.0.1:8000", True),
        (HERE, "localhost:8000", True),
        (HERE, "LOCALHOST:8000", True),
        (HERE, "[::1]:8000", True),
        (HERE, "localhost", False),  # port 80
        (HERE, "localhost:8001", False),
        (HERE, "evil.example:8000", False),
        (HERE, "localhost.evil.example:8000", False),
        (HERE, "192.0.2.7:8000", False),
        (HERE, f"{MACHINE}:8000", False),
        (HERE, "", False),
        (HERE, "[::1", False),
        (HERE, "localhost:8000:8000", False),
        (HERE, "user@localhost:8000", False),
        (HERE, "localhost:8000/", False),
        (HERE, "localhost:800\u00b9", False),
        (HERE._replace(port=80), "localhost", True),
        (EVERYWHERE, "localhost:8000", True),
        (EVERYWHERE, "192.0.2.7:8000", True),
        (EVERYWHERE, "192.0.2.7:9000", True),  # a container's port, as it is called outside
        (EVERYWHERE, "[2001:db8::7]:8000", True),
        (EVERYWHERE, "box:8000", True),
        (EVERYWHERE, "box.local:8000", True),
        (EVERYWHERE, "box.example.com:8000", True),
        (EVERYWHERE, "evil.example:8000", False),
        (EVERYWHERE, "192.0.2.7.evil.example:8000", False),
        (EVERYWHERE, "[192.0.2.7]:8000", False),
        (EVERYWHERE, "3221225991:8000", False),
        (NAMED, "mario.lan:8000", True),
        (NAMED, "luigi.lan:8000", False),
    ],
)
def test_hosts_that_are_ours(address, host, ours):
    assert is_ours(Headers({"host": host}), address) == ours


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        ("http://localhost:8000", True),
        ("https://localhost:8000", True),  # through a proxy that adds TLS
        ("HTTP://LOCALHOST:8000", True),
        ("http://127.0.0.1:8000", False),  # another origin than the host's, to a browser
        ("http://localhost:8001", False),
        ("http://localhost", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
        ("http://[::1", False),
        ("localhost:8000", False),
        ("http://localhost:8000/", False),
    ],
)
def test_origins_that_are_ours(origin, ours):
    assert is_ours(Headers({"host": "localhost:8000", "origin": origin}), HERE) == ours


def test_one_host_and_at_most_one_origin():
    host, origin = (b"host", b"localhost:8000"), (b"origin", b"http://localhost:8000")
    assert is_ours(Headers(raw=[host, origin]), HERE)
    assert not is_ours(Headers(raw=[]), HERE)
    assert not is_ours(Headers(raw=[host, host]), HERE)
    assert not is_ours(Headers(raw=[host, origin, origin]), HERE)


async def fine(request: Request) -> PlainTextResponse:
    return PlainTextResponse("fine")


async def broken(request: Request) -> PlainTextResponse:
    raise LookupError("a mistake of ours")


async def hello(viewer: WebSocket) -> None:
    await viewer.accept()
    await viewer.close()


APP = Starlette(routes=[Route("/", fine), Route("/broken", broken), WebSocketRoute("/socket", hello)])


def answer(path: str, headers: list[tuple[bytes, bytes]], *, method: str = "GET", kind: str = "http") -> list[Message]:
    """Ask in this process, as uvicorn would; returns what was answered."""
    scope: Scope = {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "extensions": {"websocket.http.response": {}},
    }
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        said.append(message)

    async def ask() -> None:
        try:
            await Guard(APP, HERE)(scope, receive, send)
        except LookupError:
            assert path == "/broken"  # which Starlette answers, and passes on for the server to log

    run_async(ask())
    return said


OURS = [(b"host", b"localhost:8000")]
STRANGER = [(b"host", b"evil.example")]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"path": "/", "headers": OURS}, 200),
        ({"path": "/", "headers": OURS, "method": "HEAD"}, 200),
        ({"path": "/", "headers": STRANGER}, 403),
        ({"path": "/nothing", "headers": STRANGER}, 403),
        ({"path": "/nothing", "headers": OURS}, 404),
        ({"path": "/", "headers": OURS, "method": "POST"}, 405),
        ({"path": "/broken", "headers": OURS}, 500),
        ({"path": "/socket", "headers": STRANGER, "kind": "websocket"}, 403),
        ({"path": "/socket", "headers": OURS, "kind": "websocket"}, None),
    ],
)
def test_every_answer_is_sealed(request_: dict[str, Any], status):
    begin = answer(**request_)[0]
    assert begin.get("status") == status
    headers = Headers(raw=begin["headers"])
    assert {name: headers.getlist(name) for name in SEALS} == {name: [value] for name, value in SEALS.items()}


values = st.text(st.characters(max_codepoint=255), max_size=40).map(lambda text: text.encode("latin-1"))
parts = st.lists(
    st.sampled_from(["http://", "localhost", ":", "8000", "[", "::1", "]", "@", "/", "%", "null", "\u0661"])
)
likely = parts.map(lambda some: "".join(some).encode())


@given(st.lists(st.tuples(st.sampled_from([b"host", b"origin"]), values | likely), max_size=4), st.booleans())
@example([(b"host", b"localhost:8000"), (b"origin", b"http://[::1")], False)
def test_any_host_and_origin_get_the_page_or_a_refusal(headers, is_socket):
    kind, path = ("websocket", "/socket") if is_socket else ("http", "/")
    begin = answer(path, headers, kind=kind)[0]
    assert begin["type"] == "websocket.accept" or begin["status"] in (200, 403)
