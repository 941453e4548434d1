"""A server that is asked for too much, or in ways that no page has: it goes on, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import uvicorn
from conftest import free_port, wait_until_served
from starlette.websockets import WebSocketDisconnect
from test_game import wait_for
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ConnectionClosed, InvalidState, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from mario_rl.cli import main
from mario_rl.evaluation import trained
from mario_rl.report.video import write_video
from mario_rl.trajectories import Made, read_trajectory, replay
from mario_rl.watch import curve, films, server
from mario_rl.watch.game import Game
from mario_rl.watch.port import address_of, bind
from mario_rl.watch.recorded import Recorded
from mario_rl.watch.sockets import BoundedSocket

pytestmark = pytest.mark.emulator


class Served(NamedTuple):
    """A game that is served from this process."""

    game: Game
    port: int
    running: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def look_on(self) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.port}/socket", max_queue=None)


@pytest.fixture
def served(trained_run: Path) -> Iterator[Served]:
    """A game and its server, which ends with the test and must have logged nothing."""
    game, errors = Game(trained_run), []
    with bind("127.0.0.1", 0) as bound:
        address = address_of(bound, "127.0.0.1")
        running = server.make_server(game, address)
        handler = logging.Handler()
        handler.emit = lambda record: errors.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("uvicorn").addHandler(handler)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
        thread.start()
        wait_for(lambda: running.started)
        yield Served(game, address.port, running)
        running.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
        logging.getLogger("uvicorn").removeHandler(handler)
    assert errors == []


def send(viewer: ClientConnection, *messages: dict[str, Any]) -> None:
    for message in messages:
        viewer.send(json.dumps(message))


def closed_by(viewer: ClientConnection) -> int:
    """Read on until the server closes; returns its code."""
    with pytest.raises(ConnectionClosed) as closed:
        deque(iter(partial(viewer.recv, timeout=30), None), maxlen=0)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_one_viewer_is_obeyed_while_another_floods(served):
    flood = [{"do": "speed", "speed": 8.0}, {"do": "saliency", "on": False}, {"do": "checkpoint", "index": 0}]
    with served.look_on() as flooding, served.look_on() as other:
        send(flooding, *islice(cycle(flood), 5000))
        send(other, {"do": "pause"})
        wait_for(lambda: served.game.wish.paused)
        send(flooding, {"do": "stage", "stage": "1-2"})  # behind all the others
        wait_for(lambda: served.game.wish.stage == "1-2")
        assert served.game.wish.paused


def test_nothing_is_played_while_nobody_looks_on(served):
    wait_for(lambda: served.game.picture.number == 0)  # the first frame stands there
    with served.look_on():
        wait_for(lambda: served.game.picture.number > 5)
    wait_for(lambda: served.game.audience == 0)
    threading.Event().wait(0.2)  # for the frame that was being played
    number = served.game.picture.number
    threading.Event().wait(0.5)
    assert served.game.picture.number == number


def test_who_sends_more_than_any_page_is_sent_away(served, monkeypatch):
    monkeypatch.setattr(server, "MOST_MESSAGES", 200)
    with served.look_on() as flooding, served.look_on() as other:
        send(flooding, *islice(cycle([{"do": "play"}]), 400))
        assert closed_by(flooding) == 1008
        send(other, {"do": "pause"})
        wait_for(lambda: served.game.wish.paused)


def test_a_thousand_switches_of_checkpoints_are_few_loads_and_the_last_is_played(served, monkeypatch):
    loaded: list[Path] = []
    first_may_end = threading.Event()

    def load(path: Path) -> Any:
        loaded.append(path)
        first_may_end.wait(30)
        return load_trained(path)

    load_trained = trained.load_trained
    monkeypatch.setattr(trained, "load_trained", load)
    with served.look_on() as viewer:
        send(viewer, *({"do": "checkpoint", "index": 1 + number % 2} for number in range(1000)))
        send(viewer, {"do": "checkpoint", "index": 0}, {"do": "pause"})
        wait_for(lambda: served.game.wish.paused)  # the game obeys although it waits for a disk
        assert len(loaded) == 1
        first_may_end.set()
        wait_for(lambda: served.game.offer.chosen == served.game.offer.paths[0])
    assert len(loaded) == 2


def test_the_pad_goes_back_to_the_agent_when_its_viewer_leaves(served):
    with served.look_on() as viewer:
        send(viewer, {"do": "pad", "held": ["right"]})
        wait_for(lambda: served.game.wish.held == 0x80)
    wait_for(lambda: served.game.wish.held is None)


def test_thirty_downloads_at_once_are_of_one_film(served, monkeypatch):
    made: list[Path] = []

    def count(path: Path, *args: Any, **options: Any) -> Path:
        made.append(path)
        return write_video(path, *args, **options)

    monkeypatch.setattr(films, "write_video", count)
    with served.look_on() as viewer:
        wait_for(lambda: served.game.picture.number > 20)
        send(viewer, {"do": "restart"}, {"do": "pause"})
        wait_for(lambda: bool(served.game.ended) and served.game.wish.paused)
    film = f"{served.url}episode.mp4?episode={served.game.ended[0].number}"
    with ThreadPoolExecutor(30) as pool:
        got = list(pool.map(lambda _: urlopen(film).read(), range(30)))
    assert set(got) == {got[0]}
    assert got[0][4:8] == b"ftyp"
    assert len(made) == 1
    folder = made[0].parent
    assert folder.is_dir()


def test_only_the_last_films_are_kept_and_they_go_with_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(films, "write_video", lambda path, *_, **__: path.write_bytes(b"film"))
    making = films.Films()
    episode = Recorded(0, "1-1", None, "native", Made(by="human"))
    paths = [making.make(episode, str(number)) for number in range(5)]
    assert [path.exists() for path in paths] == [False, False, True, True, True]
    making.remove()
    assert not paths[-1].parent.exists()


def test_a_film_that_the_disk_refuses_is_a_line(served, monkeypatch):
    def refuse(*_: Any, **__: Any) -> Path:
        raise OSError("no space left\non device")

    monkeypatch.setattr(films, "write_video", refuse)
    with served.look_on():
        wait_for(lambda: served.game.picture.number > 20)
    with pytest.raises(HTTPError, match="503") as refused:
        urlopen(f"{served.url}episode.mp4")
    assert refused.value.read() == b"no space left on device"


def post(url: str, **headers: str) -> dict[str, Any]:
    saved: dict[str, Any] = json.loads(urlopen(Request(url, method="POST", headers=headers)).read())
    return saved


def test_an_episode_is_saved_where_the_page_was_begun_and_its_path_is_said(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with served.look_on() as viewer:
        wait_for(lambda: served.game.picture.number > 20)
        send(viewer, {"do": "restart"}, {"do": "pause"})
        wait_for(lambda: bool(served.game.ended) and served.game.wish.paused)
    number = served.game.ended[0].number
    path = Path(post(f"{served.url}save?as=trajectory&episode={number}")["path"])
    assert path.parent == tmp_path / "watched"
    assert re.fullmatch(rf"1-1_\d{{8}}-\d{{6}}_episode_{number + 1}\.json", path.name)
    trajectory = read_trajectory(path)
    assert (trajectory.made.by, trajectory.made.protocol, trajectory.made.episode) == ("agent", "greedy", 0)
    assert replay(trajectory) == trajectory.ending
    film = Path(post(f"{served.url}save?as=film&episode={number}")["path"])
    assert film == path.with_suffix(".mp4")
    assert film.read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("asked", ["as=virus&episode=0", "as=film&episode=99", "as=film&episode=-1", "episode=0"])
def test_nothing_else_is_saved(asked, served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HTTPError, match="404"):
        post(f"{served.url}save?{asked}")
    with pytest.raises(HTTPError, match="405"):  # a link of another site can't ask for it
        urlopen(f"{served.url}save?as=trajectory&episode=0")
    assert list(tmp_path.iterdir()) == []


def test_a_page_of_another_site_saves_nothing(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with served.look_on():
        wait_for(lambda: served.game.picture.number > 5)
        with pytest.raises(HTTPError, match="403"):
            post(f"{served.url}save?as=trajectory", Origin="http://evil.example")
    assert list(tmp_path.iterdir()) == []


def test_there_are_only_so_many_files_of_a_sitting(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "MOST_SAVED", 1)
    with served.look_on():
        wait_for(lambda: served.game.picture.number > 5)
    post(f"{served.url}save?as=trajectory")
    with pytest.raises(HTTPError, match="503"):
        post(f"{served.url}save?as=film")


def test_the_tables_are_read_once_for_many(served, monkeypatch):
    reads: list[Path] = []
    monkeypatch.setattr(server, "CURVE_SECONDS", 600.0)
    monkeypatch.setattr(server, "read_curve", lambda place: reads.append(place) or curve.read_curve(place))
    with ThreadPoolExecutor(30) as pool:
        got = list(pool.map(lambda _: urlopen(f"{served.url}curve.json").read(), range(30)))
    assert set(got) == {got[0]}
    assert len(reads) == 1


def test_there_are_only_so_many_viewers(served, monkeypatch):
    monkeypatch.setattr(server, "MOST_VIEWERS", 2)
    with served.look_on(), served.look_on() as second:
        with pytest.raises(InvalidStatus, match="503"):
            served.look_on()
        second.close()
        wait_for(lambda: _comes_in(served))


def _comes_in(served: Served) -> bool:
    try:
        with served.look_on():
            return True
    except InvalidStatus:
        return False


@pytest.mark.parametrize("gone", [WebSocketDisconnect(1006), RuntimeError("closed"), InvalidState("closed")], ids=repr)
def test_a_viewer_who_has_gone_meanwhile_is_parted_from_without_a_failure(gone):
    class Gone:
        async def close(self, code: int, reason: str) -> None:
            raise gone

    with ThreadPoolExecutor(1) as thread:  # here a browser's loop may run
        thread.submit(asyncio.run, server._part_from(Gone(), 1001, "the page is being closed")).result()


def raw(viewer: ClientConnection, *frames: Frame) -> None:
    viewer.socket.sendall(b"".join(frame.serialize(mask=True) for frame in frames))


def test_who_answers_no_ping_is_let_go_at_once_whatever_waits_to_be_sent(monkeypatch):
    done: list[str] = []
    monkeypatch.setattr(WebSocketsSansIOProtocol, "keepalive_timeout", lambda self: done.append("told"))
    gone = BoundedSocket.__new__(BoundedSocket)
    gone.transport = SimpleNamespace(abort=lambda: done.append("aborted"))
    gone.keepalive_timeout()
    assert done == ["told", "aborted"]


def test_text_that_is_none_closes_its_socket_and_is_not_logged(served):
    with served.look_on() as viewer:
        raw(viewer, Frame(Opcode.TEXT, b'{"do": "\xff"}'))
        assert closed_by(viewer) == 1007


def test_a_message_of_endless_pieces_closes_its_socket(served):
    with served.look_on() as viewer:
        raw(viewer, Frame(Opcode.TEXT, b"", fin=False), *[Frame(Opcode.CONT, b"", fin=False)] * 100)
        assert closed_by(viewer) == 1009


def test_who_sends_pings_and_reads_nothing_is_not_remembered(served):
    with socket.create_connection(("127.0.0.1", served.port)) as pinging:
        pinging.sendall(
            f"GET /socket HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
        )
        assert pinging.recv(12) == b"HTTP/1.1 101"
        pings = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 1000
        pinging.settimeout(30)
        for _ in range(100):  # 13 MB
            pinging.sendall(pings)
        (connection,) = served.running.server_state.connections
        assert connection.transport.get_write_buffer_size() < 1_000_000


BROKEN = [
    (b"Host: evil.example\r\n", 403),
    (b"Host: 127.0.0.1:PORT\r\nOrigin: http://[::1\r\n", 403),
    (b"Host: 127.0.0.1:PORT\r\nOrigin: http://\xff\xfe\r\n", 403),
    (b"Host: [::1\r\n", 403),
    (b"Host: \xd9\xa1\r\n", 403),
    (b"Host:\r\n", 403),
    (b"Host: 127.0.0.1:PORT\r\nHost: evil.example\r\n", 400),
    (b"", 400),
    (b"Host: 127.0.0.1:PORT\r\n", 200),
]


@pytest.mark.parametrize("socket_", [False, True], ids=["page", "socket"])
def test_broken_headers_get_an_answer_and_no_traceback(socket_, served):
    upgrade = (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    )
    for headers, status in BROKEN:
        asked = headers.replace(b"PORT", str(served.port).encode()) + (upgrade if socket_ else b"Connection: close\r\n")
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as raw_socket:
            raw_socket.sendall(
                b"GET " + (b"/socket" if socket_ else b"/curve.json") + b" HTTP/1.1\r\n" + asked + b"\r\n"
            )
            said = raw_socket.recv(12)
        assert said == b"HTTP/1.1 %d" % (101 if socket_ and status == 200 else status), headers


def test_no_route_answers_to_another_name(served):
    for path in ("", "watch.js", "curve.json", "stage.png", "episode.json", "episode.mp4", "save", "nothing"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as stranger:
            stranger.sendall(f"GET /{path} HTTP/1.1\r\nHost: evil.example:{served.port}\r\n\r\n".encode())
            said = stranger.recv(65_536).decode()
        assert said.startswith("HTTP/1.1 403")
        assert "content-security-policy: default-src 'self'" in said


def test_another_socket_than_ours_is_not_found(served):
    with pytest.raises(InvalidStatus, match="404") as refused:
        connect(f"ws://127.0.0.1:{served.port}/elsewhere")
    assert refused.value.response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_page_that_others_reach_is_announced_as_one(trained_run, monkeypatch, capsys):
    class Nothing:
        def run(self, sockets: list[socket.socket]) -> None: ...

    monkeypatch.setattr(server, "make_server", lambda *_: Nothing())
    port = str(free_port())
    assert main(["watch", str(trained_run), "--no-browser", "--port", port, "--host", "0.0.0.0"]) == 0
    said = capsys.readouterr()
    warning = rf"mario-rl: --host 0\.0\.0\.0: anybody who can reach this machine .* they open http://(\S+):{port}/\n"
    found = re.fullmatch(warning, said.err)
    assert found is not None
    assert found[1] not in ("0.0.0.0", "localhost")
    assert f"watch at http://localhost:{port}/" in said.out
    assert main(["watch", str(trained_run), "--no-browser", "--port", port]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.takes("a process that loads PyTorch, twice")
@pytest.mark.parametrize("busy_with", ["film", "checkpoint"])
def test_ctrl_c_ends_it_in_the_middle_of_a_film_or_of_loading(busy_with, trained_run):
    port = free_port()
    command = [sys.executable, "-m", "mario_rl", "watch", str(trained_run), "--port", str(port), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        wait_until_served(port)
        with connect(f"ws://127.0.0.1:{port}/socket", max_queue=None) as viewer:
            if busy_with == "film":
                deque(islice((said for said in viewer if isinstance(said, bytes)), 60), maxlen=0)
                send(viewer, {"do": "restart"})
                next(said for said in viewer if isinstance(said, str) and "ended" in json.loads(said))
                asking = socket.create_connection(("127.0.0.1", port))
                asking.sendall(f"GET /episode.mp4?episode=0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            else:
                send(viewer, *({"do": "checkpoint", "index": number % 3} for number in range(30)))
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaints.split() == ["mario-rl:", "interrupted"]
