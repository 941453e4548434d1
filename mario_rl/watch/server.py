"""The page's server: the same pictures for every viewer, and a socket that takes only what a page may ask for."""

from __future__ import annotations

import asyncio
import contextlib
import html
import itertools
import socket
import time
from collections.abc import AsyncIterator
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import InvalidState

from mario_rl.errors import FailedError, UserError
from mario_rl.files import json_text, printable
from mario_rl.report.endings import caption
from mario_rl.trajectories import trajectory_text
from mario_rl.watch.background import Closing, Newest, in_background, unfinished
from mario_rl.watch.curve import read_curve
from mario_rl.watch.films import Films, Saved
from mario_rl.watch.game import CLOSE_SECONDS, Game, Predicted
from mario_rl.watch.guard import Guard
from mario_rl.watch.messages import MAX_MESSAGE_BYTES, read_message
from mario_rl.watch.port import Address
from mario_rl.watch.recorded import Recorded
from mario_rl.watch.sitting import Ended
from mario_rl.watch.sockets import BoundedSocket

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/watch.css": ("watch.css", "text/css; charset=utf-8"),
    "/watch.js": ("watch.js", "text/javascript; charset=utf-8"),
}
LOOK_SECONDS = 1 / 120  # between looks at whether there is a new picture
MESSAGES_AT_ONCE = 50  # of a viewer that sends faster than they are read; then it is the others' turn
PAUSE_SECONDS = 0.005  # until it has another turn; meanwhile its messages wait, in the end where they are sent
MOST_MESSAGES = 10_000  # in one go; a page sends a few a second
MESSAGES_PER_SECOND = 100  # in the long run
CATALOG_SECONDS = 2.0  # between looks at the run's files
CURVE_SECONDS = 2.0  # the curves are read anew after so long
MOST_VIEWERS = 100
PARTING_SECONDS = 0.5  # for telling viewers that the page is closed
HANG_UP_SECONDS = 1.5  # after closing, connections that are still sending are cut
GOING_AWAY = 1001  # the socket's close code when the page is closed
SAVED_IN = Path("watched")  # below the folder that the command was begun in
MOST_SAVED = 1_000  # files, of one sitting
REFUSED = 1008  # the socket's close code for what is against the rules


class Page:
    """What is behind the page's addresses: a game, whose lifetime is the page's, and those who look on.

    Args:
        game: not yet started. It plays while somebody looks on.
        farewell: what viewers are told when the page is closed.
    """

    def __init__(self, game: Game, farewell: str = "") -> None:
        self._game, self._farewell = game, farewell
        game.audience = 0
        self._films = Films()
        self._saved = Saved(SAVED_IN, time.strftime("%Y%m%d-%H%M%S"), self._films)
        self._files: set[Path] = set()
        self._curve = Newest("reading the run's curves", lambda: (time.monotonic(), json_text(read_curve(game.place))))
        self._closing = asyncio.Event()
        self._viewers: set[WebSocket] = set()

    def app(self, address: Address) -> ASGIApp:
        """Make the application that serves it at an address."""
        routes = [
            *(Route(path, self._file) for path in PAGE),
            Route("/curve.json", self._read_curve),
            Route("/stage.png", self._stage_picture),
            Route("/episode.json", self._trajectory),
            Route("/episode.mp4", self._film),
            Route("/save", self._save, methods=["POST"]),
            WebSocketRoute("/socket", self._socket),
            WebSocketRoute("/{elsewhere:path}", _no_socket),
        ]
        handlers = dict.fromkeys((Closing, UserError, FailedError, OSError), _sorry)
        return Guard(Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=handlers), address)

    def close(self) -> None:
        """Let everything that is going on come to its end."""
        self._closing.set()
        self._films.close()
        self._curve.close()
        self._game.stop()

    async def part(self) -> None:
        """Wait until all viewers have been told that it is closed, but not for long on those that don't read."""
        until = time.monotonic() + PARTING_SECONDS
        while self._viewers and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._game.start()
        looking = asyncio.create_task(_look_at_files(self._game))
        with contextlib.suppress(asyncio.CancelledError):  # a second Ctrl-C
            yield
        looking.cancel()
        self.close()
        await run_in_threadpool(unfinished, CLOSE_SECONDS)
        self._films.remove()

    async def _socket(self, viewer: WebSocket) -> None:
        if len(self._viewers) >= MOST_VIEWERS:
            await viewer.send_denial_response(PlainTextResponse(f"{MOST_VIEWERS} viewers look on already", 503))
            return
        self._viewers.add(viewer)
        self._game.audience = len(self._viewers)
        try:
            await viewer.accept()
            await _first_to_end(_listen(self._game, viewer), _show(self._game, viewer, self._closing))
            if self._closing.is_set():
                await _part_from(viewer, GOING_AWAY, self._farewell)
        finally:
            self._viewers.remove(viewer)
            self._game.audience = len(self._viewers)
            self._game.leave(viewer)

    async def _file(self, request: Request) -> Response:
        name, kind = PAGE[request.url.path]
        return Response(files("mario_rl.watch").joinpath("page", name).read_bytes(), media_type=kind)

    async def _read_curve(self, request: Request) -> Response:
        return Response(await self._curve.get(time.monotonic() - CURVE_SECONDS), media_type="application/json")

    async def _stage_picture(self, request: Request) -> Response:
        content = self._game.stage_picture.content
        if not content:
            return PlainTextResponse("nothing has been seen yet", 404)
        return Response(content, media_type="image/png")

    async def _trajectory(self, request: Request) -> Response:
        episode = self._asked(request)
        if episode is None:
            return _UNKNOWN
        text = await run_in_threadpool(lambda: trajectory_text(episode.trajectory()))
        as_file = {"Content-Disposition": 'attachment; filename="episode.json"'}
        return Response(text, media_type="application/json", headers=as_file)

    async def _film(self, request: Request) -> Response:
        episode = self._asked(request)
        if episode is None:
            return _UNKNOWN
        return FileResponse(await self._films.film(episode), media_type="video/mp4", filename="episode.mp4")

    async def _save(self, request: Request) -> Response:
        """Write a file on this machine, which only its own viewers may ask for; others download instead."""
        if request.client is None or not ip_address(request.client.host).is_loopback:
            return PlainTextResponse("files are written for viewers on this machine only", 403)
        episode, kind = self._asked(request), request.query_params.get("as")
        if episode is None or kind not in ("film", "trajectory"):
            return _UNKNOWN
        if len(self._files) >= MOST_SAVED:
            return PlainTextResponse(f"{MOST_SAVED:,} files were saved in this sitting, the most there are", 503)
        path = await self._saved.save(episode, kind)
        self._files.add(path)
        return Response(json_text({"path": printable(path.absolute())}), media_type="application/json")

    def _asked(self, request: Request) -> Recorded | None:
        """The episode that a request names by its number, else the one that is shown."""
        number = request.query_params.get("episode")
        if number is None:
            return self._game.recorded()
        return self._game.recorded(int(number)) if number.isascii() and number.isdigit() and len(number) < 10 else None


_UNKNOWN = PlainTextResponse("no such episode is kept", 404)


class FilmPage:
    """A page that shows one film, with what it says of itself.

    Args:
        film: an MP4.
        title: its caption.
    """

    def __init__(self, film: Path, title: str) -> None:
        self._film, self._title = film, title

    def app(self, address: Address) -> ASGIApp:
        """Make the application that serves it at an address."""
        routes = [Route("/", self._page), Route("/watch.css", self._style), Route("/film.mp4", self._content)]
        return Guard(Starlette(routes=routes), address)

    def close(self) -> None:
        """Nothing goes on."""

    async def part(self) -> None:
        """Nobody has to be told."""

    async def _page(self, request: Request) -> Response:
        page = files("mario_rl.watch").joinpath("page", "film.html").read_text(encoding="utf-8")
        name, title = html.escape(printable(self._film.name)), html.escape(self._title)
        return HTMLResponse(page.replace("{name}", name).replace("{title}", title))

    async def _style(self, request: Request) -> Response:
        content = files("mario_rl.watch").joinpath("page", "watch.css").read_bytes()
        return Response(content, media_type="text/css; charset=utf-8")

    async def _content(self, request: Request) -> Response:
        return FileResponse(self._film, media_type="video/mp4")


def make_server(game: Game, address: Address, *, farewell: str = "") -> uvicorn.Server:
    """Make the server of a game that is not yet started; it is run on the socket that is bound to the address.

    Args:
        game: as `Page` has it.
        address: where.
        farewell: as `Page` has it; at most 123 bytes.
    """
    return serve(Page(game, farewell), address)


def serve(page: Page | FilmPage, address: Address) -> uvicorn.Server:
    """Make the server of a page."""
    config = uvicorn.Config(
        page.app(address),
        log_level="error",
        ws=BoundedSocket,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # PNGs are packed already
        timeout_graceful_shutdown=5,
    )
    return _Server(config, page)


class _Server(uvicorn.Server):
    """Ends what is going on before it waits for that, and cuts who doesn't read what was sent."""

    def __init__(self, config: uvicorn.Config, page: Page | FilmPage) -> None:
        super().__init__(config)
        self._page = page

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._page.close()
        asyncio.get_running_loop().call_later(HANG_UP_SECONDS, self._hang_up)
        await self._page.part()  # else uvicorn is the first to close, and gives no reason
        await super().shutdown(sockets)

    def _hang_up(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


async def _first_to_end(*work: Any) -> None:
    """Do several things at once until one of them has ended, and no more of the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def _part_from(viewer: WebSocket, code: int, reason: str) -> None:
    """Close a viewer's socket, and say why; a viewer who has gone already, at whatever moment, is no failure."""
    with contextlib.suppress(RuntimeError, InvalidState, WebSocketDisconnect):
        await viewer.close(code, reason)


async def _listen(game: Game, viewer: WebSocket) -> None:
    """Pass on what a viewer asks for, until it leaves, sends what is no message, or sends too many."""
    last, allowed = time.monotonic(), float(MOST_MESSAGES)
    try:
        for count in itertools.count(1):
            game.tell(read_message(await viewer.receive_text()), viewer)
            now = time.monotonic()
            allowed = min(allowed + (now - last) * MESSAGES_PER_SECOND, MOST_MESSAGES) - 1
            last = now
            if allowed < 0:
                await _part_from(viewer, REFUSED, "too many messages")
                return
            if count % MESSAGES_AT_ONCE == 0:
                await asyncio.sleep(PAUSE_SECONDS)
    except (ValueError, KeyError):  # not a message of ours, or bytes where there is to be text
        await _part_from(viewer, REFUSED, "not understood")
    except WebSocketDisconnect:
        pass


async def _show(game: Game, viewer: WebSocket, closing: asyncio.Event) -> None:
    """Send the newest picture whenever there is one, and what else has changed; a slow viewer misses pictures."""
    number, ended, so_far = -1, -1, game.predicted
    catalog = game.catalog()
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await viewer.send_text(json_text({"catalog": catalog, "so_far": _so_far(so_far)}))
        while not closing.is_set():
            if (predicted := game.predicted) is not so_far:  # another episode, which may be in its middle already
                so_far = predicted
                await viewer.send_text(json_text({"so_far": _so_far(so_far)}))
            if (now := game.catalog()) != catalog:
                catalog = now
                await viewer.send_text(json_text({"catalog": catalog}))
            for episode in [one for one in game.ended if one.number > ended]:
                ended = episode.number
                await viewer.send_text(json_text({"ended": _plain(episode)}))
            picture = game.picture
            if picture.number != number:
                number = picture.number
                await viewer.send_bytes(picture.content)
            await asyncio.sleep(LOOK_SECONDS)


async def _no_socket(viewer: WebSocket) -> None:
    await viewer.send_denial_response(PlainTextResponse("no socket here; it is /socket", 404))


async def _sorry(request: Request, error: Exception) -> Response:
    """Say in a line why something can't be had now: the disk refused, or all is being closed."""
    return PlainTextResponse(" ".join(str(error).split()) or "the page is being closed", 503)


async def _look_at_files(game: Game) -> None:
    while True:
        await asyncio.sleep(CATALOG_SECONDS)
        with contextlib.suppress(OSError):  # a directory that can't be read for a moment
            await asyncio.wrap_future(in_background("looking for checkpoints", game.refresh))


def _so_far(predicted: Predicted) -> dict[str, Any]:
    return {"episode": predicted.episode, "predicted": [round(value, 4) for value in predicted.values]}


def _plain(episode: Ended) -> dict[str, Any]:
    return episode._asdict() | {"caption": caption(episode.end, episode.x)}
