"""The way to the hub: its library, names of repositories, and everything that can go wrong there as one line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mario_rl.errors import FailedError, UserError
from mario_rl.files import printable
from mario_rl.streams import SCREEN

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SECONDS = 60.0
"""How long a server may keep silent. The library itself waits without end."""

REVISION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,99})")


def require_library() -> None:
    """See that huggingface_hub is there, and have it send no statistics and print nothing but bars on a terminal.

    Raises:
        UserError: it is not installed.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when it is imported
    try:
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise UserError('huggingface_hub is not installed; pip install "mario-rl[hub]"') from error
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not SCREEN.isatty():
        disable_progress_bars()


def open_hub() -> HfApi:
    """Make the hub's client, for the server that `HF_ENDPOINT` names; nothing is asked yet.

    Raises:
        UserError: huggingface_hub is not installed.
    """
    require_library()
    from huggingface_hub import HfApi, get_session

    get_session().timeout = SECONDS
    return HfApi()


def require_repository(repo: str) -> None:
    """Refuse what can't be a repository's name.

    Raises:
        UserError: it can't, or huggingface_hub is not installed.
    """
    require_library()
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
        allowed = repo.count("/") == 1
    except HFValidationError:
        allowed = False
    if not allowed:
        raise UserError(
            f"REPO: {printable(repo, 120)} is not allowed; must be USER/NAME of letters, digits, '-', '_' and '.'"
        )


def split_revision(repo: str) -> tuple[str, str | None]:
    """Split `USER/NAME@REVISION` into the repository and the revision, None where none is named.

    Raises:
        UserError: either can't be, or huggingface_hub is not installed.
    """
    name, at, revision = repo.partition("@")
    require_repository(name)
    if at and (REVISION.fullmatch(revision) is None or ".." in revision):
        raise UserError(
            f"REPO: the revision {printable(revision, 120)!r} is not allowed; must be a branch, a tag or a commit"
        )
    return name, revision or None


@contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Say in one line what went wrong between here and the hub; only calls of its library stand inside.

    Raises:
        UserError: there is no such repository or revision, or the access token is wrong. FailedError: all else.
    """
    from httpx2 import HTTPError
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except (UserError, FailedError):
        raise
    except RevisionNotFoundError as error:
        raise UserError(f"{repo}: no such revision in this repository") from error
    except GatedRepoError as error:
        raise UserError(f"{repo}: its owner has to grant you access first; ask for it on its page") from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{repo}: no such repository, or it is private and your access token (`hf auth login`, or HF_TOKEN) "
            "does not reach it"
        ) from error
    except HfHubHTTPError as error:
        status, said = error.response.status_code, printable(error.server_message or "no reason given", 200)
        if status in (401, 403):
            raise UserError(
                f"{repo}: access refused ({said}); needs an access token with write permission to push, read to pull: "
                "`hf auth login`, or HF_TOKEN"
            ) from error
        raise FailedError(f"{repo}: the hub answered with error {status} ({said})") from error
    except (HTTPError, OfflineModeIsEnabled) as error:
        raise FailedError(f"{constants.ENDPOINT}: no connection ({_reason(error)})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        # What the library makes of an answer that it doesn't understand, or of uploads that failed.
        cause = error.__cause__ or error
        raise FailedError(f"{repo}: the hub's answer can't be used ({_reason(cause)})") from error


def _reason(error: BaseException) -> str:
    return printable(" ".join(str(error).split()) or type(error).__name__, 200)
