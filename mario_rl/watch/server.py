"""The page's server: the same pictures for every viewer, and a socket that takes only what a page may ask for."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from mario_rl.errors import UserError
from mario_rl.files import json_text
from mario_rl.report.curve import Floats, mean_window, running_mean
from mario_rl.report.video import Recording, write_video
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import EPISODE_COLUMNS, EVALUATION_COLUMNS, METRIC_COLUMNS, RECENT_EPISODES, read_table
from mario_rl.watch.game import Ended, Game
from mario_rl.watch.messages import MAX_MESSAGE_BYTES, read_message
from mario_rl.watch.port import bind

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/watch.css": ("watch.css", "text/css; charset=utf-8"),
    "/watch.js": ("watch.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
LOOK_SECONDS = 1 / 120  # between looks at whether there is a new picture
CATALOG_SECONDS = 2.0  # between looks at the run's files
CURVE_POINTS = 400
REFUSED = 1008  # the socket's close code for what is against the rules


def make_app(game: Game, *, host: str, port: int) -> Starlette:
    """Make the application that shows a game; its lifetime is the game's.

    Args:
        game: not yet started.
        host: it will be served on.
        port: too; where a page may come from follows from both.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        game.start()
        looking = asyncio.create_task(_look_at_files(game))
        yield
        looking.cancel()
        await run_in_threadpool(game.close)

    async def socket_of_a_viewer(viewer: WebSocket) -> None:
        if not _is_ours(viewer, host, port):
            await viewer.close(REFUSED)
            return
        await viewer.accept()
        sending = asyncio.create_task(_show(game, viewer))
        try:
            while True:
                game.tell(read_message(await viewer.receive_text()))
        except (ValueError, KeyError):  # not a message of ours, or bytes where there is to be text
            with contextlib.suppress(RuntimeError):
                await viewer.close(REFUSED, "not understood")
        except WebSocketDisconnect:
            pass
        finally:
            sending.cancel()

    async def page(request: Request) -> Response:
        name, kind = PAGE[request.url.path]
        content = files("mario_rl.watch").joinpath("page", name).read_bytes()
        return Response(content, media_type=kind, headers=HEADERS)

    async def curve(request: Request) -> Response:
        text = json_text(await run_in_threadpool(_curve, game.place))
        return Response(text, media_type="application/json", headers=HEADERS)

    async def stage_picture(request: Request) -> Response:
        content = game.stage_picture.content
        if not content:
            return Response("nothing has been seen yet", 404)
        return Response(content, media_type="image/png", headers=HEADERS)

    async def trajectory(request: Request) -> Response:
        last = _last(game)
        if last is None:
            return Response("no episode has ended yet", 404)
        kept = {"stage": last.stage, "end": last.end, "x": last.x, "by_hand": last.by_hand, "buttons": last.buttons}
        text = json_text({"format": "mario_rl trajectory 1", "frames_per_second": 60, **kept})
        return Response(text, media_type="application/json", headers=HEADERS | _as_file("episode.json"))

    async def video(request: Request) -> Response:
        last = _last(game)
        if last is None:
            return Response("no episode has ended yet", 404)
        content = await run_in_threadpool(_film, last)
        return Response(content, media_type="video/mp4", headers=HEADERS | _as_file("episode.mp4"))

    return Starlette(
        routes=[
            *(Route(path, page) for path in PAGE),
            Route("/curve.json", curve),
            Route("/stage.png", stage_picture),
            Route("/episode.json", trajectory),
            Route("/episode.mp4", video),
            WebSocketRoute("/socket", socket_of_a_viewer),
        ],
        lifespan=lifespan,
    )


def serve(game: Game, *, host: str, port: int) -> None:
    """Serve until interrupted (Ctrl-C).

    Raises:
        UserError: the port is taken, or the host is not one of this machine.
    """
    config = uvicorn.Config(
        make_app(game, host=host, port=port),
        log_level="warning",
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # PNGs are packed already
        timeout_graceful_shutdown=2,
    )
    with bind(host, port) as bound:
        uvicorn.Server(config).run(sockets=[bound])


def _is_ours(viewer: WebSocket, host: str, port: int) -> bool:
    """Whether a socket was opened by a page of this server, not by another site in the same browser.

    Bound to loopback, that page is at one of its names, or a site whose name was made to point here could pass itself
    off as one. Programs other than browsers send no origin, and could send any.
    """
    origin = viewer.headers.get("origin")
    if origin is None:
        return True
    place = urlsplit(origin).netloc
    names = (*LOOPBACK, host)
    if host in LOOPBACK or host == "::1":
        return place in {f"{name}:{port}" for name in names}
    return place == viewer.headers.get("host")


async def _show(game: Game, viewer: WebSocket) -> None:
    """Send the newest picture whenever there is one, and what else has changed; a slow viewer misses pictures."""
    number, ended = -1, -1
    catalog, so_far = game.catalog(), game.predicted  # who comes in the middle of an episode gets what was predicted
    values = [round(value, 4) for value in so_far.values]
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        begin = {"catalog": catalog, "so_far": {"episode": so_far.episode, "predicted": values}}
        await viewer.send_text(json_text(begin))
        while True:
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


async def _look_at_files(game: Game) -> None:
    while True:
        await asyncio.sleep(CATALOG_SECONDS)
        game.refresh()


def _plain(episode: Ended) -> dict[str, Any]:
    fields = episode._asdict()
    del fields["buttons"]
    return fields


def _last(game: Game) -> Ended | None:
    """The last episode a person had a hand in, else the last of all."""
    by_hand = [one for one in game.ended if one.by_hand]
    kept = by_hand or game.ended
    return kept[-1] if kept else None


def _film(episode: Ended) -> bytes:
    with tempfile.TemporaryDirectory(prefix="mario_rl_watch_") as folder:
        path = Path(folder) / "episode.mp4"
        recording = Recording(
            episode.stage, episode.buttons, f"{episode.stage}: {episode.end} at x {episode.x}", episode.rom
        )
        return write_video(path, [recording]).read_bytes()


def _curve(place: Path) -> dict[str, Any]:
    """Read the curves of the run that is watched, as far as it has come; empty lists where there is no run.

    `of` is how many episodes `mean_x` is the mean of, at every point.
    """
    run = RunDir(place if place.is_dir() else place.parent.parent)
    try:
        of, at, mean_x = _mean_x(run)
        evaluated = read_table(run.evaluation, EVALUATION_COLUMNS)
    except UserError:
        of, at, mean_x, evaluated = RECENT_EPISODES, np.array([]), np.array([]), {"agent_steps": np.array([])}
    every = max(1, len(at) // CURVE_POINTS)
    shown = [[float(steps), float(x)] for steps, x in zip(at[::every], mean_x[::every], strict=True) if np.isfinite(x)]
    moments = np.unique(evaluated["agent_steps"])
    evaluations = [[float(one), float(np.mean(evaluated["x"][evaluated["agent_steps"] == one]))] for one in moments]
    return {"mean_x": shown, "of": of, "evaluations": evaluations}


def _mean_x(run: RunDir) -> tuple[int, Floats, Floats]:
    """Read the running mean of x: over how many episodes, agent steps, means.

    Raises:
        UserError: a table can't be read.
    """
    metrics = read_table(run.metrics, METRIC_COLUMNS)
    full = metrics["episodes"] >= RECENT_EPISODES
    if full.any():
        return RECENT_EPISODES, metrics["agent_steps"][full], metrics["mean_x"][full]
    episodes = read_table(run.episodes, EPISODE_COLUMNS)  # a short table
    of = mean_window(len(episodes["x"]))
    return of, episodes["agent_steps"], running_mean(episodes["x"], of)


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
