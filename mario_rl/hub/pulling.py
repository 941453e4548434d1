"""Pulling: an agent from the hub, checked as any file from a stranger before anything is in its place."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.cards.text import card_markdown
from mario_rl.errors import UserError
from mario_rl.files import printable, require_writable, staged, storage_errors
from mario_rl.hub.access import SECONDS, hub_errors, open_hub, split_revision
from mario_rl.hub.contents import FILM, is_name, require_film, require_size, require_sound

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling


def pull(repo: str, output: Path, *, force: bool = False) -> list[Path]:
    """Download a shipped agent with its card and its film, check them, and put them in place together.

    Only three files of a repository are ever downloaded: `NAME.pt`, `NAME.json` and `replay.mp4`. The card for reading,
    `NAME.md`, is written from the card, so that it can't say anything else.

    Args:
        repo: USER/NAME, or USER/NAME@REVISION.
        output: the folder for them; made if missing.
        force: whether files that are there are replaced; links never are.

    Returns:
        The files: agent, card, card for reading and, if the repository has one, the film.

    Raises:
        UserError: no such repository, no agent in it, something is in the way, or a file is refused; nothing is kept.
        FailedError: the hub failed or can't be reached. StorageError: the disk refused.
    """
    repo_id, revision = split_revision(repo)
    api = open_hub()
    with hub_errors(repo):
        info = api.model_info(repo_id, revision=revision, files_metadata=True, timeout=SECONDS)
        listed = {one.rfilename: one for one in info.siblings or []}
    name = _only_agent(repo, listed)
    sources = {f"{name}.pt": f"{name}.pt", f"{name}.json": f"{name}.json"}
    if FILM in listed:
        sources[f"{name}.mp4"] = FILM
    for source in sources.values():
        require_size(f"{repo}/{source}", Path(source).suffix, listed[source].size)
    targets = [output / f"{name}{ending}" for ending in (".json", ".md", ".mp4", ".pt")]
    for target in targets:
        _require_free(target, force=force)
    with tempfile.TemporaryDirectory(prefix="mario-rl-pull-") as temporary:
        folder = Path(temporary)
        for file, source in sources.items():
            _download(repo, repo_id, info.sha or revision, listed[source], folder / file)
        try:
            card = require_sound(folder / f"{name}.pt")
            if FILM in listed:
                require_film(folder / f"{name}.mp4")
        except UserError as error:
            said = str(error).replace(f"{folder}{os.sep}", f"{repo}/")
            raise UserError(f"{said}; refused, nothing is kept") from error
        with storage_errors(folder):
            (folder / f"{name}.md").write_text(card_markdown(card), encoding="utf-8")
        placed = [target for target in targets if (folder / target.name).is_file()]
        with staged(*placed) as partials:  # the agent last: by its card it is seen whether both are of one kind
            for target, partial in zip(placed, partials, strict=True):
                with storage_errors(target):
                    shutil.copyfile(folder / target.name, partial)
    for target in targets:
        if target not in placed:
            target.unlink(missing_ok=True)  # a film of what was there before
    return [placed[-1], *placed[:-1]]


def _only_agent(repo: str, listed: Mapping[str, object]) -> str:
    """Name the one agent of a repository: `NAME.pt` with its card `NAME.json` at the top."""
    named = [file.removesuffix(".pt") for file in sorted(listed) if file.endswith(".pt")]
    agents = [name for name in named if is_name(name) and f"{name}.json" in listed]
    if len(agents) != 1:
        has = f"several agents ({printable(', '.join(agents), 120)})" if agents else "no agent"
        raise UserError(
            f"{repo}: has {has}; must have one, NAME.pt with its card NAME.json, as `mario-rl push` makes it"
        )
    return agents[0]


def _require_free(target: Path, *, force: bool) -> None:
    if target.is_symlink():
        raise UserError(f"{target}: is a link, which is never replaced; remove it, or choose another --output")
    if target.exists() and not force:
        raise UserError(f"{target}: is there already; choose another --output, or replace it with --force")
    require_writable(target)


def _download(repo: str, repo_id: str, revision: str | None, listed: RepoSibling, target: Path) -> None:
    """Download one file as long as it is what the hub lists: of that size and with that checksum.

    The library's own downloads keep copies in a cache and don't bound what is sent, so only its requests are used.
    """
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    url = hf_hub_url(repo_id, listed.rfilename, revision=revision)
    headers = build_hf_headers(headers={"Accept-Encoding": "identity"})
    wanted, digest = listed.blob_id, hashlib.sha1(b"blob %d\0" % (listed.size or 0), usedforsecurity=False)  # Git's
    if listed.lfs is not None:
        wanted, digest = listed.lfs.sha256, hashlib.sha256()
    received = 0
    with (
        target.open("wb") as file,
        hub_errors(repo),
        get_session().stream("GET", url, headers=headers, timeout=SECONDS) as response,
    ):
        hf_raise_for_status(response)
        for chunk in response.iter_bytes(1 << 16):
            received += len(chunk)
            if received > (listed.size or 0):
                break
            digest.update(chunk)
            with storage_errors(target):
                file.write(chunk)
    if received != listed.size or (wanted is not None and digest.hexdigest() != wanted):
        raise UserError(f"{repo}/{listed.rfilename}: is not the file that the hub lists; refused, nothing is kept")
