"""Which agent plays, from which of its checkpoints, and what others viewers may choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mario_rl.config.schema import STAGES, WHOLE_GAME
from mario_rl.runs.checkpoint import has_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.shipped import results
from mario_rl.watch.loading import Loader, written_at
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.evaluation import Trained


class Offer(NamedTuple):
    """The checkpoints there are. chosen: the one that is played, which is one of `paths`; None without an agent."""

    paths: tuple[Path, ...]
    chosen: Path | None


class Found(NamedTuple):
    """What a look at the disk showed.

    place: whose checkpoints. written: when the file of `chosen` was, as `written_at` has it.
    """

    place: Path | None
    paths: tuple[Path, ...]
    chosen: Path | None
    written: int | None


class Change(NamedTuple):
    """What a checkpoint that was loaded means for the game.

    failure: why it can't be used, a line; what was there plays on. at_once: it is to play at once, not only next.
    takes_over: no agent played until now. stage: where to play, if the agent brings that with it.
    """

    failure: str | None = None
    at_once: bool = False
    takes_over: bool = False
    stage: str | None = None


class Agents:
    """The agent that plays and those that can be chosen: checkpoint files and run directories.

    For the game's thread, but for `look`. Of a run that has no checkpoint yet nothing can be loaded; `waiting` says so,
    else it is None.

    place: of the agent that plays; None where nobody but a person does. offer: its checkpoints. trained: what plays
    from the next episode on.

    Args:
        place: where to begin.
        others: to choose from besides.
        live: of a run, begin with the checkpoint that training writes again and again, not with its best.
    """

    def __init__(self, place: Path | None, others: Sequence[Path], *, live: bool) -> None:
        self.place, self._live = place, live
        places: dict[Path | None, Path | None] = {place if place is None else place.absolute(): place}
        for other in others:
            places.setdefault(other.absolute(), other)
        self.places = tuple(places.values())
        self.offer = Offer((), None)
        self.trained: Trained | None = None
        self.waiting: str | None = None
        self._asked = place  # whose checkpoint was asked for last
        self._written: int | None = None  # what was last loaded of the chosen checkpoint, or tried
        self._found = self._seen = Found(None, (), None, None)  # the last look, and what was made of it
        self._loader = Loader()
        self._cards: dict[Path, dict[str, tuple[int, int]]] = {}
        if place is not None and RunDir(place).config.is_file() and not self.is_there:
            self.waiting = (
                f"{agent_name(place)} has no checkpoint yet. The page waits for its first, which training writes as "
                "soon as its games have begun."
            )
            if not live:
                self.waiting += f" If nothing trains there: {RunDir(place).resume_command}"

    @property
    def is_there(self) -> bool:
        """Whether what is waited for has a checkpoint by now."""
        return self.place is not None and has_checkpoint(RunDir(self.place))

    @property
    def index(self) -> int:
        """Which of `places` plays."""
        return self.places.index(self.place)

    @property
    def checkpoint(self) -> int:
        """Which of the offered checkpoints plays; -1 without an agent."""
        paths, chosen = self.offer  # once: viewers' threads ask too
        return -1 if chosen is None else paths.index(chosen)

    def load_first(self) -> None:
        """Load what is to be played first.

        Raises:
            CheckpointError: it can't be used.
        """
        place, chosen = self.place, None
        paths = () if place is None else find_checkpoints(place)
        if place is not None:
            latest = RunDir(place).latest
            chosen = latest if self._live and latest in paths else paths[-1]
        self.offer = Offer(paths, chosen)
        self._written = written_at(chosen)
        self.trained = _load(chosen)
        self._found = self._seen = Found(place, paths, chosen, self._written)

    def look(self) -> None:
        """Look for checkpoints that a run in training has written since; not from the game's thread: disks are slow."""
        chosen, place = self.offer.chosen, self.place
        if place is not None and self.waiting is None:
            self._found = Found(place, find_checkpoints(place), chosen, written_at(chosen))

    def choose(self, index: int) -> None:
        """Load another agent's checkpoint; for the one that is nobody, `let_go`."""
        place = self.places[index]
        assert place is not None
        self._asked = place
        self._loader.ask(find_checkpoints(place)[-1])

    def let_go(self) -> bool:
        """Play without an agent from now on; returns whether there was one."""
        self._asked = None
        if self.place is None:
            return False
        self.place, self.offer, self.trained = None, Offer((), None), None
        return True

    def choose_checkpoint(self, index: int) -> None:
        """Load another checkpoint of the agent that plays."""
        if self.place is not None and index < len(self.offer.paths):
            self._asked = self.place
            self._loader.ask(self.offer.paths[index])

    def keep_up(self) -> None:
        """Offer what the last look has shown; load the chosen one anew if training has written it since."""
        if (found := self._found) is self._seen:
            return
        self._seen = found
        if found.place != self.place or found.chosen is None:  # another agent was chosen meanwhile
            return
        self.offer = _offer(found.paths, self.offer.chosen)
        is_new = found.chosen == self.offer.chosen and found.written not in (None, self._written)
        if is_new and self._loader.is_idle:
            self._loader.ask(found.chosen)

    def take(self) -> Change | None:
        """Take what has been loaded since, if anything, for the next episode, and say what it means for the game."""
        loaded = self._loader.take()
        if loaded is None or self._asked is None:  # the agent was let go meanwhile
            return None
        change = Change(loaded.failure)
        if loaded.trained is not None:
            alone, stage = self.place is None, None
            self.trained = loaded.trained
            at_once = loaded.path != self.offer.chosen  # else it is the chosen one, written anew
            if self._asked != self.place and loaded.path in (paths := find_checkpoints(self._asked)):
                if not alone:  # without an agent, the stage was chosen
                    stage = first_stage(loaded.trained)
                self.place, self.offer = self._asked, Offer(paths, loaded.path)
            self.offer = _offer(self.offer.paths, loaded.path)
            change = Change(loaded.failure, at_once, alone, stage)
        if loaded.path == self.offer.chosen:
            self._written = loaded.written
        return change

    def card_of(self, file: Path) -> dict[str, tuple[int, int]]:
        """Clears and episodes on the card beside a checkpoint, by protocol; none where it has no card. Read once."""
        if file not in self._cards:
            self._cards[file] = results(file)
        return self._cards[file]


def find_checkpoints(place: Path) -> tuple[Path, ...]:
    """List the checkpoints of a run, the one to begin with last; a file is its own."""
    if not place.is_dir():
        return (place,)
    return tuple(RunDir(place).all_checkpoints()) or (place,)  # nothing there: loading says so in one line


def first_stage(trained: Trained) -> str:
    """Name the stage to begin with: the first that an agent was trained on."""
    return trained.config.env.stages[0].replace(WHOLE_GAME, STAGES[0])


def agent_name(place: Path | None) -> str:
    """Name a shipped agent as commands do, a run by its directory and the one above, which is its config's."""
    if place is None:
        return "no agent"
    return place.stem if place.suffix == ".pt" else "/".join(place.absolute().parts[-2:])


def checkpoint_name(path: Path, initial_agent_steps: int) -> str:
    """Name a checkpoint of a run; its file counts from the run's beginning, agent steps are those of the agent."""
    digits = path.stem.removeprefix("step_")
    return count_text(initial_agent_steps + int(digits), "agent step") if digits.isdigit() else path.stem


def _offer(paths: tuple[Path, ...], chosen: Path | None) -> Offer:
    """Offer what was found, and the one that is played, even if its file is gone."""
    return Offer(paths if chosen is None or chosen in paths else (chosen, *paths), chosen)


def _load(checkpoint: Path | None) -> Trained | None:
    if checkpoint is None:
        return None
    from mario_rl.evaluation.trained import load_trained

    return load_trained(checkpoint)
