"""A server that speaks as much of the Hugging Face Hub's HTTP interface as pushing and pulling an agent asks for.

What it does was found by pointing huggingface_hub 2.4 at it, and follows that library's source where it says what an
answer must have. Large files go by Git LFS, as they do where Xet is switched off (`HF_HUB_DISABLE_XET=1`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from huggingface_hub import constants
from ruamel.yaml import YAML, YAMLError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

TOKEN = "hf_of_the_owner"
BLOCK = 1 << 16
LARGE = (".pt", ".mp4")  # what .gitattributes of a repository gives to Git LFS


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # newest last
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], message: str = "by hand") -> str:
        """Make a commit that has these files besides, or in place of, those of the one before."""
        return self._add(self.newest | files, message)

    def _add(self, files: dict[str, bytes], message: str) -> str:
        name = hashlib.sha1(f"{len(self.commits)} {message}".encode()).hexdigest()
        self.commits[name] = files
        self.messages.append(message)
        return name

    def apply(self, lines: list[dict], objects: dict[str, bytes]) -> str:
        """Make the commit that the lines of a request describe."""
        files, message = dict(self.newest), ""
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    message = value["summary"]
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = objects[value["oid"]]
                    assert len(objects[value["oid"]]) == value["size"]
                case "deletedFile":
                    del files[value["path"]]
                case other:
                    raise AssertionError(other)
        return self._add(files, message)

    @property
    def newest(self) -> dict[str, bytes]:
        return list(self.commits.values())[-1] if self.commits else {}

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return (list(self.commits)[-1] if self.commits else "0" * 40), self.newest
        return (revision, self.commits[revision]) if revision in self.commits else None


class HubStandIn:
    """The server's state, for tests to look at and to spoil.

    requests: all that was asked, such as `GET /api/models/user/name`. objects: of Git LFS, by SHA-256.
    listed_sizes: sizes that it claims for files. sent: what it sends in place of a file; cut: as many bytes of it less.
    bytes_sent: of large files, in whole blocks. status: what it answers to everything, where that isn't None.
    """

    def __init__(self) -> None:
        self.url = ""
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.listed_sizes: dict[str, int] = {}
        self.sent: dict[str, bytes] = {}
        self.cut = 0
        self.bytes_sent = 0
        self.status: int | None = None
        repo = "/{user}/{name}"
        self.app = Starlette(
            routes=[
                Route("/api/repos/create", self._guarded(self._create), methods=["POST"]),
                Route("/api/validate-yaml", self._guarded(self._validate), methods=["POST"]),
                Route(f"/api/models{repo}", self._guarded(self._info)),
                Route(f"/api/models{repo}/revision/{{revision}}", self._guarded(self._info)),
                Route(f"/api/models{repo}/preupload/{{revision}}", self._guarded(self._preupload), methods=["POST"]),
                Route(f"/api/models{repo}/commit/{{revision}}", self._guarded(self._commit), methods=["POST"]),
                Route(f"{repo}/info/lfs/objects/batch", self._guarded(self._batch), methods=["POST"]),
                Route("/storage/{oid}", self._store, methods=["PUT"]),
                Route("/storage/{oid}", self._fetch, methods=["GET"]),
                Route(f"{repo}/resolve/{{revision}}/{{path:path}}", self._guarded(self._resolve)),
            ]
        )

    def add(self, repo: str, files: dict[str, bytes], *, private: bool = False) -> Repository:
        """Put a repository there."""
        made = self.repositories[repo] = Repository(private)
        made.commit(files)
        return made

    def _guarded(self, answer):
        async def guarded(request: Request) -> Response:
            self.requests.append(f"{request.method} {request.url.path}")
            if self.status is not None:
                return _error(self.status, "out of order")
            given = request.headers.get("authorization")
            if given not in (None, f"Bearer {TOKEN}"):
                return _error(401, "Invalid credentials in Authorization header")
            owner = given is not None
            if request.method == "POST" and not owner:
                return _error(401, "Invalid username or password.")
            name = _name(request) if "name" in request.path_params else None
            repo = self.repositories.get(name) if name else None
            if name and (repo is None or (repo.private and not owner)):
                # The hub does not tell a stranger which private repositories there are.
                return _error(404 if owner else 401, "Repository not found", "RepoNotFound")
            return await answer(request, repo)

        return guarded

    async def _create(self, request: Request, _: None) -> Response:
        asked = await request.json()
        if asked["organization"] != "user":
            return _error(403, "You don't have the rights to create a model under this namespace")
        name = f"{asked['organization']}/{asked['name']}"
        page = {"url": f"{self.url}/{name}", "name": name}
        if name in self.repositories:
            return JSONResponse(page | {"error": "You already created this model repo"}, 409)
        self.repositories[name] = Repository(private=asked.get("visibility") == "private")
        return JSONResponse(page)

    async def _validate(self, request: Request, _: None) -> Response:
        content = (await request.json())["content"]
        try:
            values = YAML(typ="safe").load(content.split("---\n")[1])
            assert isinstance(values["model-index"], list)
        except (YAMLError, IndexError, KeyError, AssertionError) as error:
            return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
        return JSONResponse({"errors": [], "warnings": []})

    async def _info(self, request: Request, repo: Repository) -> Response:
        found = repo.at(request.path_params.get("revision", "main"))
        if found is None:
            return _error(404, "Invalid rev id", "RevisionNotFound")
        commit, files = found
        siblings = []
        for path, content in files.items():
            sibling = {"rfilename": path}
            if "blobs" in request.query_params:
                size = self.listed_sizes.get(path, len(content))
                sibling |= {"size": size, "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
                if path.endswith(LARGE):
                    sibling["lfs"] = {"sha256": _oid(content), "size": size, "pointerSize": 131}
            siblings.append(sibling)
        return JSONResponse(
            {
                "id": _name(request),
                "modelId": _name(request),
                "sha": commit,
                "private": repo.private,
                "siblings": siblings,
                "tags": [],
            }
        )

    async def _preupload(self, request: Request, repo: Repository) -> Response:
        asked = (await request.json())["files"]
        modes = ["lfs" if one["path"].endswith(LARGE) else "regular" for one in asked]
        return JSONResponse(
            {
                "files": [
                    {"path": one["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}
                    for one, mode in zip(asked, modes, strict=True)
                ]
            }
        )

    async def _batch(self, request: Request, repo: Repository) -> Response:
        asked = (await request.json())["objects"]
        return JSONResponse(
            {
                "transfer": "basic",
                "objects": [
                    one
                    | ({} if one["oid"] in self.objects else {"actions": {"upload": {"href": self._place(one["oid"])}}})
                    for one in asked
                ],
            }
        )

    async def _commit(self, request: Request, repo: Repository) -> Response:
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        oid = repo.apply(lines, self.objects)
        return JSONResponse(
            {"success": True, "commitOid": oid, "commitUrl": f"{self.url}/{_name(request)}/commit/{oid}"}
        )

    async def _store(self, request: Request) -> Response:
        content = await request.body()
        assert request.path_params["oid"] == _oid(content)
        self.objects[_oid(content)] = content
        return Response()

    async def _resolve(self, request: Request, repo: Repository) -> Response:
        found = repo.at(request.path_params["revision"])
        path = request.path_params["path"]
        if found is None or path not in found[1]:
            return _error(404, "Entry not found", "EntryNotFound")
        content = self.sent.get(path, found[1][path])
        if path.endswith(LARGE):
            self.objects[path] = content
            return RedirectResponse(f"{self.url}/storage/{path}", 302)
        return Response(content, headers={"X-Repo-Commit": found[0], "ETag": f'"{hashlib.sha1(content).hexdigest()}"'})

    async def _fetch(self, request: Request) -> Response:
        content = self.objects[request.path_params["oid"]]

        async def parts() -> AsyncIterator[bytes]:
            for begin in range(0, len(content) - self.cut, BLOCK):
                if await request.is_disconnected():
                    return
                yield content[begin : min(begin + BLOCK, len(content) - self.cut)]
                self.bytes_sent += BLOCK

        # Without a length where more is sent than is listed, as a server would that wants to fill a disk.
        length = {"Content-Length": str(len(content))} if not self.sent else {}
        return StreamingResponse(parts(), headers=length)

    def _place(self, oid: str) -> str:
        return f"{self.url}/storage/{oid}"


def _name(request: Request) -> str:
    return "{user}/{name}".format_map(request.path_params).removesuffix(".git")


def _oid(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _error(status: int, message: str, code: str | None = None) -> Response:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return JSONResponse({"error": message}, status, headers=headers)


@contextmanager
def serving() -> Iterator[HubStandIn]:
    """Run a stand-in on a free port of this machine."""
    hub = HubStandIn()
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        hub.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(hub.app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield hub
        finally:
            server.should_exit = True
            thread.join()


def point_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Have this process and those it starts talk to the hub at `url`, with the owner's token."""
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
