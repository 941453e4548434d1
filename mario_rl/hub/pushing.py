"""Pushing: a shipped agent, its card, its film and a model card, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mario_rl.cards.text import card_markdown
from mario_rl.errors import UserError
from mario_rl.files import write_atomically, write_bytes
from mario_rl.hub.access import SECONDS, hub_errors, open_hub, require_repository
from mario_rl.hub.contents import FILM, MODEL_CARD, is_name, require_film, require_size, require_sound
from mario_rl.hub.model_card import model_card

type Contents = Mapping[str, bytes]
"""What a repository is given: names of files to what is in them."""


def prepare(agent: Path, repo: str, *, film: Path | None, license_name: str = "mit") -> Contents:
    """Put together what a push uploads; the agent and its card are checked as files from elsewhere are.

    Nothing else can get in: of the agent's folder only its own file and the card are read. A file with the state of
    training is refused.

    Args:
        agent: a shipped agent's file, its card beside it.
        repo: where it will go, USER/NAME.
        film: an MP4, None for none.
        license_name: of agent and film, as the Hub writes it.

    Raises:
        UserError: `repo` can't be a repository, or one of the files can't be used.
    """
    require_repository(repo)
    if not is_name(agent.stem) or agent.suffix != ".pt":
        raise UserError(
            f"{agent}: an agent of this name can't be pushed; must be NAME.pt, of letters, digits, '_', '.' and '-'"
        )
    card = require_sound(agent)
    if film is not None:
        require_film(film)
    contents = {
        MODEL_CARD: model_card(card, repo, with_film=film is not None, license_name=license_name).encode(),
        agent.name: agent.read_bytes(),
        f"{agent.stem}.json": agent.with_suffix(".json").read_bytes(),
        f"{agent.stem}.md": card_markdown(card).encode(),
    }
    require_size(str(agent), ".pt", len(contents[agent.name]))
    return contents if film is None else contents | {FILM: film.read_bytes()}


def write_to(folder: Path, contents: Contents) -> None:
    """Write what a push would upload to a folder.

    Raises:
        StorageError: the disk refused.
    """
    for name, content in contents.items():
        write_atomically(folder / name, partial(write_bytes, content=content))


def push(repo: str, contents: Contents, *, private: bool = False, message: str) -> str:
    """Upload what `prepare` put together, in one commit; the repository is made if missing.

    An older film goes in the same commit where there is no new one.

    Args:
        repo: USER/NAME.
        contents: of the repository.
        private: whether only its owner may see it.
        message: of the commit.

    Returns:
        The address of its page.

    Raises:
        UserError: no access, or the repository has another agent, or is public where private was asked for.
        FailedError: the hub failed or can't be reached; it has all of the commit or nothing.
    """
    api = open_hub()
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, get_token

    if get_token() is None:
        raise UserError(f"{repo}: pushing needs an access token with write permission: `hf auth login`, or HF_TOKEN")
    with hub_errors(repo):
        page = api.create_repo(repo, private=private or None, exist_ok=True)
        info = api.model_info(repo, timeout=SECONDS)
    there = {one.rfilename for one in info.siblings or []}
    if private and not info.private:
        raise UserError(f"{repo}: is there already, and public; --private is for new repositories")
    if others := sorted(name for name in there - contents.keys() if name.endswith(".pt")):
        raise UserError(f"{repo}: has another agent already, {others[0]}; a repository holds one, choose another name")
    stale = [FILM] if FILM in there - contents.keys() else []
    with hub_errors(repo):
        api.create_commit(
            repo,
            [
                *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in contents.items()),
                *(CommitOperationDelete(path_in_repo=name) for name in stale),
            ],
            commit_message=message,
        )
    return str(page)
