"""The one game that all viewers share: played in a thread of its own, paced, and told what to do by mail."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mario_rl.config import Protocol
from mario_rl.config.schema import STAGES, WHOLE_GAME
from mario_rl.envs import action_names
from mario_rl.errors import FailedError, UserError
from mario_rl.evaluation import Trained, load_trained
from mario_rl.game.actions import Buttons
from mario_rl.report.endings import caption
from mario_rl.report.video import GAME_FPS
from mario_rl.runs.checkpoint import has_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.shipped import results
from mario_rl.watch.background import Background
from mario_rl.watch.loading import Loaded, Loader, written_at
from mario_rl.watch.mail import Mail
from mario_rl.watch.messages import (
    Message,
    Pad,
    Seek,
    SetAgent,
    SetCheckpoint,
    SetProtocol,
    SetSaliency,
    SetSpeed,
    SetStage,
    Simple,
)
from mario_rl.watch.pictures import pack, png, saliency
from mario_rl.watch.play import PAD, Choice, Decision, Episode, Shown
from mario_rl.watch.stage_map import StageMap
from mario_rl.wording import count_text

HELD_SECONDS = 1.5  # the last frame of an episode stays so long, at the game's own speed
KEPT_EPISODES = 50  # that can be gone back to
KEPT_ENDS = 200  # past episodes in the strip of the stage
SECONDS_BETWEEN_LOOKS = 0.2  # for the first checkpoint of a run
IDLE_SECONDS = 0.01  # between looks at what viewers ask for, while nothing else is to do
NEW_PIXELS = 32  # of the stage that come into sight before its picture is drawn anew
MAX_LAG = 0.25  # seconds behind its pace before the game stops trying to catch up
CLOSE_SECONDS = 5.0  # for the frame that is being played to end


class Picture(NamedTuple):
    """What every viewer gets: the same bytes for all.

    number: counts the pictures of this game, over all episodes. content: a header and PNGs, as `pack` lays them out.
    """

    number: int
    content: bytes


class Predicted(NamedTuple):
    """The value of each agent step of an episode so far; the list grows."""

    episode: int
    values: list[float]


class StagePicture(NamedTuple):
    """A stage as far as it has been seen, as PNG. seen: how many pixels of it, from its left end."""

    stage: str
    seen: int
    content: bytes


class Ended(NamedTuple):
    """An episode that ended.

    predicted, returns: the value at each agent step, and the discounted return that followed from it.
    buttons: the joypad byte of every emulator frame. rom: `env.rom` of what it was played on.
    """

    number: int
    stage: str
    end: str
    x: int
    predicted: list[float]
    returns: list[float]
    buttons: tuple[int, ...]
    by_hand: bool
    rom: str | None = None


class Past(NamedTuple):
    """An episode of this sitting, as far as it was played: what it takes to play it again, frame for frame.

    order: the episode's number under its seed. frames: how many were shown after the reset.
    """

    number: int
    trained: Trained
    stage: str
    protocol: Protocol
    order: int
    choices: tuple[Choice, ...]
    frames: int
    caption: str


class Tally(NamedTuple):
    """What became of the agent's own episodes of this sitting, with one checkpoint on one stage under one protocol."""

    clears: int = 0
    episodes: int = 0


class Offer(NamedTuple):
    """The checkpoints there are. chosen: the one that is played, which is one of `paths`."""

    paths: tuple[Path, ...]
    chosen: Path


class Found(NamedTuple):
    """What a look at the disk showed.

    place: whose checkpoints. written: when the file of `chosen` was, as `written_at` has it.
    """

    place: Path
    paths: tuple[Path, ...]
    chosen: Path
    written: int | None


@dataclass(frozen=True)
class Wish:
    """What the viewers have asked for."""

    stage: str
    protocol: Protocol
    speed: float = 1.0
    paused: bool = False
    saliency: bool = False
    held: Buttons | None = None


class Game:
    """Plays episode after episode until it is closed.

    Viewers read `picture`, `predicted`, `ended`, `stage_picture` and `failure`: replaced or grown, never changed.

    Of a run that has no checkpoint yet it waits for the first; `waiting` says so until then, else it is None.

    Args:
        place: a checkpoint file or a run directory.
        others: more of those, to choose from.
        stage: where to begin; None for the first that the checkpoint was trained on.
        protocol: to begin with.
        seed: of the episodes.
        live: of a run, begin with the checkpoint that training writes again and again, not with its best.

    Raises:
        CheckpointError: there is nothing to play. UserError: no such stage.
    """

    def __init__(
        self,
        place: Path,
        *,
        others: Sequence[Path] = (),
        stage: str | None = None,
        protocol: Protocol = "greedy",
        seed: int = 0,
        live: bool = False,
    ) -> None:
        if stage is not None and stage not in STAGES:
            raise UserError(f"--stage: {stage} is not allowed; must be a stage from 1-1 to 8-4")
        self.place, self._seed, self._live, self._wanted = place, seed, live, (stage, protocol)
        places = {place.absolute(): place}
        for other in others:
            places.setdefault(other.absolute(), other)
        self._places = tuple(places.values())
        self._asked_place = place  # whose checkpoint was asked for last
        self.audience = 1  # how many look on; nothing is played for nobody
        self.waiting: str | None = None
        self.picture = Picture(-1, b"")
        self.predicted = Predicted(-1, [])
        self.ended: list[Ended] = []
        self.stage_picture = StagePicture("", 0, b"")
        self.failure: str | None = None
        self._stage_maps: dict[str, StageMap] = {}
        self._cards: dict[Path, dict[str, tuple[int, int]]] = {}
        self._past: dict[int, Past] = {}
        self._seek: Seek | None = None
        self._number = -1  # of the last course of events that was shown, each has its own
        self._order = -1  # of the last episode under the seed
        self._tallies: dict[tuple[Path, str, Protocol], Tally] = {}
        self._mail, self._loader = Mail(), Loader()
        self._closed = threading.Event()
        self._again = False  # begin another episode at the next frame
        self._step, self._pause_at = 0, 0  # agent step shown, and the one up to which a paused game goes on
        self._due = time.monotonic()
        self._stack, self._saliency = b"", b""
        self._thread = Background("playing", self._run)
        if RunDir(place).config.is_file() and not has_checkpoint(RunDir(place)):
            self.waiting = (
                f"{_agent_name(place)} has no checkpoint yet. The page waits for its first, which training writes as "
                "soon as its games have begun."
            )
            if not live:
                self.waiting += f" If nothing trains there: {RunDir(place).resume_command}"
        else:
            self._begin()

    def _begin(self) -> None:
        """Load what is to be played first.

        Raises:
            CheckpointError: it can't be used.
        """
        paths = find_checkpoints(self.place)
        latest = RunDir(self.place).latest
        self.offer = Offer(paths, latest if self._live and latest in paths else paths[-1])
        self._written = written_at(self.offer.chosen)  # what was last loaded of it, or tried
        # Played, and to be played from the next episode on.
        self._trained = self._next = load_trained(self.offer.chosen)
        stage, protocol = self._wanted
        self.wish = Wish(stage or _first_stage(self._trained), protocol)
        # The last look, and what was made of it.
        self._found = self._seen = Found(self.place, paths, self.offer.chosen, self._written)
        self.waiting = None

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def close(self) -> None:
        """Stop playing; returns when it has, at the latest after CLOSE_SECONDS."""
        self.stop()
        self._thread.join(CLOSE_SECONDS)

    def stop(self) -> None:
        """Stop playing at the next frame."""
        self._closed.set()

    def tell(self, message: Message, viewer: object = None) -> None:
        """Do what a viewer asks for, at the next frame; what makes no sense is left.

        Of several messages of one kind between two frames, the last one is obeyed.
        """
        self._mail.put(message, viewer)

    def leave(self, viewer: object) -> None:
        """Let a viewer go; the pad, if it held that, goes back to the agent."""
        self._mail.leave(viewer)

    def catalog(self) -> dict[str, Any]:
        """What can be chosen and what is chosen, as plain values; as long as it waits, what for."""
        if self.waiting is not None:
            return {"waiting": self.waiting, "agent": _agent_name(self.place), "failure": self.failure}
        wish, offer, trained = self.wish, self.offer, self._trained
        config = trained.config
        tally = self._tallies.get((trained.file, wish.stage, wish.protocol), Tally())
        return {
            "checkpoints": [_checkpoint_name(path, trained.initial_agent_steps) for path in offer.paths],
            "agent_steps": trained.agent_steps,
            "stages": list(STAGES),
            "actions": list(action_names(config.env.action_set)),
            "grayscale": config.env.grayscale,
            "agents": [_agent_name(place) for place in self._places],
            "agent": self._places.index(self.place),
            "seed": self._seed,
            "card": {protocol: list(clears) for protocol, clears in self._card_of(trained.file).items()},
            "tally": list(tally),
            "past": [[past.number, past.caption] for past in reversed(self._past.values())],
            "gamma": config.agent.gamma,
            "points_per_reward": 1 / config.env.reward_scale,
            "stage": wish.stage,
            "protocol": wish.protocol,
            "checkpoint": offer.paths.index(offer.chosen),
            "speed": wish.speed,
            "paused": wish.paused,
            "saliency": wish.saliency,
            "pad": wish.held is not None,
            "seen": self._seen_of(wish.stage),
            "failure": self.failure,
        }

    def _card_of(self, file: Path) -> dict[str, tuple[int, int]]:
        """Clears and episodes on the card beside a checkpoint, by protocol; none where it has no card. Read once."""
        if file not in self._cards:
            self._cards[file] = results(file)
        return self._cards[file]

    def refresh(self) -> None:
        """Look for checkpoints that a run in training has written since; not from the game's thread: disks are slow.

        New ones are offered from the next frame on. If the chosen one was written anew, as `latest` is, it is loaded.
        """
        if self.waiting is not None:
            return
        chosen = self.offer.chosen
        place = self.place
        self._found = Found(place, find_checkpoints(place), chosen, written_at(chosen))

    def _run(self) -> None:
        torch.set_num_threads(1)  # a value takes 2 ms on one; more threads would only take cores from the viewers
        try:
            self._wait_for_checkpoint()
            while not self._closed.is_set():
                seek, self._seek = self._seek, None
                past = None if seek is None else self._past.get(seek.episode)
                if seek is None or past is None:
                    self._play()
                else:
                    self._play(past, from_frame=min(seek.frame, past.frames))
        except Exception as error:  # a page that stands still must say why
            self.failure = " ".join(str(error).split()) or type(error).__name__
            if not isinstance(error, (UserError, FailedError)):  # a mistake of ours
                raise

    def _wait_for_checkpoint(self) -> None:
        while self.waiting is not None and not self._closed.wait(SECONDS_BETWEEN_LOOKS):
            if has_checkpoint(RunDir(self.place)):
                self._begin()

    def _play(self, past: Past | None = None, *, from_frame: int = 0) -> None:
        """Play an episode to its end, or until something else is asked for.

        Args:
            past: one of this sitting, which is played again; None for the next.
            from_frame: of which nothing is shown before.
        """
        self._trained = self._next if past is None else past.trained
        wish, trained = self.wish, self._trained
        self._again, self._step, self._pause_at = False, -1, 0 if past is None else -1
        self._due = time.monotonic()
        number = self._take_number() if past is None else past.number
        episode = Episode(
            trained.policy,
            trained.config,
            stage=wish.stage if past is None else past.stage,
            protocol=wish.protocol if past is None else past.protocol,
            seed=self._seed,
            number=self._take_order() if past is None else past.order,
            script=() if past is None else past.choices,
        )
        self.predicted = Predicted(
            number, episode.predicted if past is None else [max(choice.q_values) for choice in past.choices]
        )
        x, frame = 0, 0
        with closing(episode.play(self._held)) as frames:
            for shown in frames:
                x, frame = max(x, shown.x), shown.frame
                if frame < from_frame:
                    if self._closed.is_set():
                        break
                    continue
                if past is not None and (episode.is_live or not self.wish.paused):  # another course from here on
                    episode.cut()
                    past, number = None, self._take_number()
                    self.predicted = Predicted(number, episode.predicted)
                if shown.decision is not None and shown.decision.step != self._step:
                    self._step = shown.decision.step
                    self._look(shown.decision, trained)
                self._draw_stage(shown, episode.stage)
                self._show(shown, number, trained, frames=frame if past is None else past.frames)
                self._wait_for_turn()
                if not self._goes_on:
                    break
        if past is None and (episode.choices or self._seek is not None):
            self._keep(episode, number, x, frame)
        held_until = time.monotonic() + HELD_SECONDS
        while (self._is_held_back or (self.wish.speed and time.monotonic() < held_until)) and self._goes_on:
            self._obey()
            time.sleep(IDLE_SECONDS)

    def _take_number(self) -> int:
        self._number += 1
        return self._number

    def _take_order(self) -> int:
        self._order += 1
        return self._order

    @property
    def _is_held_back(self) -> bool:
        return not self.audience or (self.wish.paused and self._step >= self._pause_at)

    @property
    def _goes_on(self) -> bool:
        return not self._again and not self._closed.is_set()

    def _held(self) -> Buttons | None:
        return self.wish.held

    def _look(self, decision: Decision, trained: Trained) -> None:
        """Draw what the network got, and what the value depends on if anybody wants to know."""
        self._stack = png(np.hstack(list(decision.observation)))
        self._saliency = b""
        if self.wish.saliency:
            chosen = decision.best if decision.action is None else decision.action
            self._saliency = png(saliency(trained.policy, decision.observation, chosen))

    def _draw_stage(self, shown: Shown, stage: str) -> None:
        if shown.left is None:
            return
        stage_map = self._stage_maps.setdefault(stage, StageMap())
        stage_map.add(shown.screen, shown.left)
        if stage_map.seen - self._seen_of(stage) >= NEW_PIXELS:
            self.stage_picture = StagePicture(stage, stage_map.seen, png(stage_map.picture()[..., ::-1]))

    def _seen_of(self, stage: str) -> int:
        return self.stage_picture.seen if self.stage_picture.stage == stage else 0

    def _show(self, shown: Shown, number: int, trained: Trained, *, frames: int) -> None:
        decision = shown.decision
        header: dict[str, Any] = {
            "episode": number,
            "frame": shown.frame,
            "frames": frames,
            "x": shown.x,
            "score": shown.score,
            "coins": shown.coins,
            "clock": shown.clock,
            "stage": shown.stage,
            "byte": shown.byte,
            "agent_steps": trained.agent_steps,
        }
        if decision is not None:
            header["decision"] = {
                "step": decision.step,
                "q_values": [round(value, 4) for value in decision.q_values],
                "action": decision.action,
                "best": decision.best,
                "buttons": decision.buttons,
            }
        content = pack(header, [png(shown.screen[..., ::-1]), self._stack, self._saliency])
        self.picture = Picture(self.picture.number + 1, content)

    def _keep(self, episode: Episode, number: int, x: int, frames: int) -> None:
        result = episode.result
        end = "as far as it went" if result is None else caption(result.end, result.x)
        past = Past(
            number,
            self._trained,
            episode.stage,
            episode.protocol,
            episode.order,
            tuple(episode.choices),
            frames,
            f"episode {number + 1}, {episode.stage}: {end}",
        )
        # replaced, not changed: viewers' threads go through it
        self._past = dict([*self._past.items(), (number, past)][-KEPT_EPISODES:])
        if not episode.rewards or (result is None and self._seek is not None):
            return  # nothing was played, or it goes on when it has been looked at
        ended = Ended(
            number,
            episode.stage,
            "broken off" if result is None else result.end,
            x if result is None else result.x,
            [round(value, 4) for value in episode.predicted],
            [round(value, 4) for value in episode.returns],
            episode.buttons,
            episode.played_by_hand,
            self._trained.config.env.rom,
        )
        self.ended = [*self.ended[1 - KEPT_ENDS :], ended]
        if result is not None and not episode.played_by_hand:
            key = (self._trained.file, episode.stage, episode.protocol)
            clears, episodes = self._tallies.get(key, Tally())
            self._tallies[key] = Tally(clears + (result.end == "clear"), episodes + 1)

    def _wait_for_turn(self) -> None:
        """Wait until the next frame is due, and as long as the game is paused; obey messages meanwhile."""
        self._obey()
        while self._is_held_back and self._goes_on:
            time.sleep(IDLE_SECONDS)
            self._due = time.monotonic()
            self._obey()
        if self.wish.speed:
            self._due = max(self._due + 1 / (GAME_FPS * self.wish.speed), time.monotonic() - MAX_LAG)
            time.sleep(max(0.0, self._due - time.monotonic()))
        else:
            self._due = time.monotonic()
            time.sleep(0)  # so that the viewers' thread gets its turn

    def _obey(self) -> None:
        if (found := self._found) is not self._seen:
            self._seen = found
            self._keep_up(found)
        for message in self._mail.take():
            match message:
                case SetSpeed():
                    self.wish = replace(self.wish, speed=message.speed)
                case SetSaliency():
                    self.wish = replace(self.wish, saliency=message.on)
                case Pad():
                    self.wish = replace(self.wish, held=None if message.held is None else _possible(message.held))
                case SetStage():
                    if message.stage in STAGES:
                        self.wish, self._again = replace(self.wish, stage=message.stage), True
                case SetProtocol():
                    self.wish, self._again = replace(self.wish, protocol=message.protocol), True
                case SetAgent():
                    if message.index < len(self._places):
                        self._asked_place = self._places[message.index]
                        self._loader.ask(find_checkpoints(self._asked_place)[-1])
                case SetCheckpoint():
                    if message.index < len(self.offer.paths):
                        self._asked_place = self.place
                        self._loader.ask(self.offer.paths[message.index])
                case Seek():
                    if message.episode in self._past or message.episode == self.predicted.episode:
                        self._seek, self._again = message, True
                        self.wish = replace(self.wish, paused=True)
                case Simple(do="restart"):
                    self._again = True
                case Simple(do="step"):
                    self.wish, self._pause_at = replace(self.wish, paused=True), max(self._step, 0) + 1
                case Simple():
                    self.wish, self._pause_at = replace(self.wish, paused=message.do == "pause"), 0
        if (loaded := self._loader.take()) is not None:
            self._use(loaded)

    def _keep_up(self, found: Found) -> None:
        """Offer what there is; take the chosen one anew if training has written it since: `latest` is the latest."""
        if found.place != self.place:  # another agent was chosen meanwhile
            return
        self.offer = _offer(found.paths, self.offer.chosen)
        is_new = found.chosen == self.offer.chosen and found.written not in (None, self._written)
        if is_new and self._loader.is_idle:
            self._loader.ask(found.chosen)

    def _use(self, loaded: Loaded) -> None:
        """Play what was loaded: at once if it was chosen, else, being the chosen one written anew, next.

        If it could not be loaded, what was there plays on.
        """
        self.failure = loaded.failure
        if loaded.trained is not None:
            self._next = loaded.trained
            self._again = self._again or loaded.path != self.offer.chosen
            if self._asked_place != self.place and loaded.path in (paths := find_checkpoints(self._asked_place)):
                self.place, self.offer = self._asked_place, Offer(paths, loaded.path)
                self.wish = replace(self.wish, stage=_first_stage(loaded.trained))
            self.offer = _offer(self.offer.paths, loaded.path)
        if loaded.path == self.offer.chosen:
            self._written = loaded.written


def find_checkpoints(place: Path) -> tuple[Path, ...]:
    """List the checkpoints of a run, the one to begin with last; a file is its own."""
    if not place.is_dir():
        return (place,)
    return tuple(RunDir(place).all_checkpoints()) or (place,)  # nothing there: loading says so in one line


def _first_stage(trained: Trained) -> str:
    stage = trained.config.env.stage
    return (stage if isinstance(stage, str) else stage[0]).replace(WHOLE_GAME, STAGES[0])


def _agent_name(place: Path) -> str:
    """Name a shipped agent as commands do, a run by its directory and the one above, which is its config's."""
    return place.stem if place.suffix == ".pt" else "/".join(place.absolute().parts[-2:])


def _offer(paths: tuple[Path, ...], chosen: Path) -> Offer:
    """Offer what was found, and the one that is played, even if its file is gone."""
    return Offer(paths if chosen in paths else (chosen, *paths), chosen)


def _possible(held: tuple[str, ...]) -> Buttons:
    """The combination of the pad nearest to what is held: of opposite directions none."""
    directions = [one for one in ("left", "right", "up", "down") if one in held]
    wanted = (*(directions if len(directions) == 1 else ()), *(one for one in ("A", "B") if one in held))
    return wanted if wanted in PAD else ("NOOP",)


def _checkpoint_name(path: Path, initial_agent_steps: int) -> str:
    """Name a checkpoint of a run; its file counts from the run's beginning, agent steps are those of the agent."""
    digits = path.stem.removeprefix("step_")
    return count_text(initial_agent_steps + int(digits), "agent step") if digits.isdigit() else path.stem
