"""The one game that all viewers share: played in a thread of its own, paced, and told what to do by mail."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mario_rl.config import EnvConfig, Protocol
from mario_rl.config.schema import STAGES, WHOLE_GAME
from mario_rl.envs import action_names
from mario_rl.errors import FailedError, UserError
from mario_rl.game.actions import joypad_byte
from mario_rl.report.endings import caption
from mario_rl.report.video import GAME_FPS
from mario_rl.runs.checkpoint import has_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.shipped import results
from mario_rl.trajectories import Emulator, Made, Trajectory
from mario_rl.watch.background import Background
from mario_rl.watch.frames import Choice, Course, Decision, Shown
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
from mario_rl.watch.pad import PadEpisode
from mario_rl.watch.pictures import pack, png
from mario_rl.watch.recorded import Recorded, as_recorded
from mario_rl.watch.stage_map import StageMap
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.evaluation import Trained

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
    """

    number: int
    stage: str
    end: str
    x: int
    predicted: list[float]
    returns: list[float]
    by_hand: bool


class Past(NamedTuple):
    """An episode of this sitting, as far as it was played: what it takes to play it again, frame for frame.

    trained: None where no agent played. order: the episode's number under its seed. opening: what was played before the
    agent took over. choices: the agent's after that. frames: how many were shown after the reset.
    """

    number: int
    trained: Trained | None
    protocol: Protocol
    order: int
    opening: bytes | None
    choices: tuple[Choice, ...]
    recorded: Recorded
    caption: str

    @property
    def frames(self) -> int:
        return len(self.recorded.buttons)


class Tally(NamedTuple):
    """What became of the agent's own episodes of this sitting, with one checkpoint on one stage under one protocol."""

    clears: int = 0
    episodes: int = 0


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


@dataclass(frozen=True)
class Wish:
    """What the viewers have asked for."""

    stage: str
    protocol: Protocol
    speed: float = 1.0
    paused: bool = False
    saliency: bool = False
    held: int | None = None


class Game:
    """Plays episode after episode until it is closed.

    Viewers read `picture`, `predicted`, `ended`, `stage_picture` and `failure`: replaced or grown, never changed.

    Of a run that has no checkpoint yet it waits for the first; `waiting` says so until then, else it is None.

    Args:
        place: a checkpoint file or a run directory; None to begin without an agent: a person plays.
        others: more of those, to choose from.
        stage: where to begin; None for the first that the checkpoint was trained on, and without one for the first.
        protocol: to begin with.
        seed: of the episodes.
        live: of a run, begin with the checkpoint that training writes again and again, not with its best.
        recording: a trajectory that is played as long as there is no agent and nobody at the pad.
        name: of its file.
        emulator: that is played on where no agent's config names it.

    Raises:
        CheckpointError: there is nothing to play. UserError: no such stage.
    """

    def __init__(
        self,
        place: Path | None,
        *,
        others: Sequence[Path] = (),
        stage: str | None = None,
        protocol: Protocol = "greedy",
        seed: int = 0,
        live: bool = False,
        recording: Trajectory | None = None,
        name: str = "",
        emulator: Emulator = "native",
    ) -> None:
        if recording is not None:
            stage = recording.stage
        elif stage is not None and stage not in STAGES:
            raise UserError(f"--stage: {stage} is not allowed; must be a stage from 1-1 to 8-4")
        self.place, self._seed, self._emulator = place, seed, emulator
        self._live, self._wanted = live, (stage, protocol)
        places: dict[Path | None, Path | None] = {place if place is None else place.absolute(): place}
        for other in others:
            places.setdefault(other.absolute(), other)
        self._places = tuple(places.values())
        self._asked_place = place  # whose checkpoint was asked for last
        self.audience = 1  # how many look on; nothing is played for nobody
        self.waiting: str | None = None
        self._recording = None if recording is None else _as_past(recording, name)
        self._name = name
        self._about = "" if recording is None else f"made by {recording.made}; it {recording.ending}"
        self.picture = Picture(-1, b"")
        self.predicted = Predicted(-1, [])
        self.ended: list[Ended] = []
        self.stage_picture = StagePicture("", 0, b"")
        self.failure: str | None = None
        self._stage_maps: dict[str, StageMap] = {}
        self._cards: dict[Path, dict[str, tuple[int, int]]] = {}
        self._past: dict[int, Past] = {} if self._recording is None else {0: self._recording}
        self._seek: Seek | None = None
        self._opening: Recorded | None = None  # what an agent that was chosen meanwhile takes over
        self._recorded: Recorded | None = None  # what is shown
        self._course: Course | None = None
        self._number = len(self._past) - 1  # of the last course of events that was shown, each has its own
        self._order = -1  # of the last episode under the seed
        self._tallies: dict[tuple[Path | None, str, Protocol], Tally] = {}
        self._mail, self._loader = Mail(), Loader()
        self._closed = threading.Event()
        self._again = False  # begin another episode at the next frame
        self._frame = 0  # shown
        self._back_to: int | None = None  # the frame that was gone back to, until it is played on from there
        self._step, self._pause_at = 0, 0  # agent step shown, and the one up to which a paused game goes on
        self._due = time.monotonic()
        self._stack, self._saliency = b"", b""
        self._thread = Background("playing", self._run)
        if place is not None and RunDir(place).config.is_file() and not has_checkpoint(RunDir(place)):
            self.waiting = (
                f"{_agent_name(place)} has no checkpoint yet. The page waits for its first, which training writes as "
                "soon as its games have begun."
            )
            if not live:
                self.waiting += f" If nothing trains there: {RunDir(place).resume_command}"
        else:
            self._load_first()

    def _load_first(self) -> None:
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
        self._written = written_at(chosen)  # what was last loaded of it, or tried
        # Played, and to be played from the next episode on.
        self._trained = self._next = _load(chosen)
        stage, protocol = self._wanted
        if stage is None:
            stage = STAGES[0] if self._trained is None else _first_stage(self._trained)
        self.wish = Wish(stage, protocol)
        # The last look, and what was made of it.
        self._found = self._seen = Found(place, paths, chosen, self._written)
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
        tally = self._tallies.get((None if trained is None else trained.file, wish.stage, wish.protocol), Tally())
        return {
            **({} if trained is None else self._mind(trained)),
            "thinks": trained is not None,
            "solo": self._places == (None,),
            "waits": self._waits_for_hand,
            "title": self._title(),
            "about": self._about,
            "checkpoints": [] if trained is None else self._checkpoint_names(trained),
            "stages": list(dict.fromkeys((*STAGES, wish.stage))),
            "agents": [_agent_name(place) for place in self._places],
            "agent": self._places.index(self.place),
            "seed": self._seed,
            "tally": list(tally),
            "past": [[past.number, past.caption] for past in reversed(self._past.values())],
            "stage": wish.stage,
            "protocol": wish.protocol,
            "checkpoint": -1 if offer.chosen is None else offer.paths.index(offer.chosen),
            "speed": wish.speed,
            "paused": wish.paused,
            "saliency": wish.saliency,
            "pad": wish.held is not None,
            "seen": self._seen_of(wish.stage),
            "failure": self.failure,
        }

    def _mind(self, trained: Trained) -> dict[str, Any]:
        """What is known of the agent that is shown."""
        config = trained.config
        return {
            "agent_steps": trained.agent_steps,
            "actions": list(action_names(config.env.action_set)),
            "grayscale": config.env.grayscale,
            "card": {protocol: list(clears) for protocol, clears in self._card_of(trained.file).items()},
            "gamma": config.agent.gamma,
            "points_per_reward": 1 / config.env.reward_scale,
        }

    def _checkpoint_names(self, trained: Trained) -> list[str]:
        return [_checkpoint_name(path, trained.initial_agent_steps) for path in self.offer.paths]

    def _title(self) -> str:
        stage = self.wish.stage
        if self._trained is not None or self.place is not None:
            return f"{_agent_name(self.place)} on {stage}"
        return f"{self._name} on {stage}" if self._plays_recording else f"You on {stage}"

    @property
    def _waits_for_hand(self) -> bool:
        """Whether the game stands still because nobody is at the pad, and nobody else plays."""
        return self._course is not None and self._course.waits_for_hand and self.wish.held is None

    def recorded(self, number: int | None = None) -> Recorded | None:
        """What was pressed in an episode of this sitting; None where it is not known any more.

        Args:
            number: which; None for the one that is shown.
        """
        shown, past = self._recorded, self._past
        if shown is not None and number in (None, shown.number):
            return shown
        return past[number].recorded if number in past else None

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
        if place is None:
            return
        self._found = Found(place, find_checkpoints(place), chosen, written_at(chosen))

    def _run(self) -> None:
        try:
            self._wait_for_checkpoint()
            while not self._closed.is_set():
                seek, self._seek = self._seek, None
                past = None if seek is None else self._past.get(seek.episode)
                if seek is not None and past is not None:
                    self._play(past, from_frame=min(seek.frame, past.frames))
                elif self._plays_recording:
                    self._play(self._recording)
                else:
                    self._play()
        except Exception as error:  # a page that stands still must say why
            self.failure = " ".join(str(error).split()) or type(error).__name__
            if not isinstance(error, (UserError, FailedError)):  # a mistake of ours
                raise

    def _wait_for_checkpoint(self) -> None:
        place = self.place
        while place is not None and self.waiting is not None and not self._closed.wait(SECONDS_BETWEEN_LOOKS):
            if has_checkpoint(RunDir(place)):
                self._load_first()

    def _play(self, past: Past | None = None, *, from_frame: int = 0) -> None:
        """Play an episode to its end, or until something else is asked for.

        Args:
            past: one of this sitting, which is played again; None for the next.
            from_frame: of which nothing is shown before.
        """
        opening, self._opening = self._opening, None
        self._trained = self._next if past is None else past.trained
        trained = self._trained
        self._again, self._step, self._pause_at = False, -1, 0 if past is None else -1
        self._due = time.monotonic()
        number = self._take_number() if past is None else past.number
        course = self._begin(past, opening)
        recorded = self._recorded_of(course, number, past, opening)
        self._recorded, self._course = recorded, course
        # Of a past episode all of it at once.
        known = None if past is None else [max(choice.q_values) for choice in past.choices]
        self.predicted = Predicted(number, course.predicted if known is None else known)
        if opening is not None:
            from_frame = len(opening.buttons)
        self._frame, self._back_to = 0, None if past is None else from_frame
        x, frame = 0, 0
        with closing(course.play(self._held)) as frames:
            for shown in frames:
                x, frame = max(x, shown.x), shown.frame
                self._frame = frame
                if frame and past is None:
                    recorded.buttons.append(shown.byte)
                if frame < from_frame:
                    if self._closed.is_set():
                        break
                    continue
                if past is not None and (course.is_live or self._plays_on_from(past)):  # another course from here on
                    if past.trained is None and not course.is_live:
                        self._hand_over()
                        break
                    course.cut()
                    past, number, self._back_to = None, self._take_number(), None
                    recorded = self._recorded = recorded.branch(number, max(0, frame - 1))
                    recorded.buttons += bytes([shown.byte][:frame])
                    self.predicted = Predicted(number, course.predicted)
                if course.played_by_hand:
                    recorded.makers.add("human")
                if shown.decision is not None and shown.decision.step != self._step:
                    self._step = shown.decision.step
                    self._look(shown.decision, trained)
                elif trained is None:
                    self._step = frame  # no agent steps: it is gone on with by frames
                self._draw_stage(shown, course.stage)
                self._show(shown, number, trained, frames=frame if past is None else past.frames)
                self._wait_for_turn()
                if not self._goes_on:
                    break
        if past is None and (recorded.buttons or self._seek is not None):
            self._keep(course, recorded, x)
        if past is not None and past is self._recording and self._goes_on:
            self.wish = replace(self.wish, paused=True)  # as a film, it stands still at its end
        held_until = time.monotonic() + HELD_SECONDS
        while (self._is_held_back or (self.wish.speed and time.monotonic() < held_until)) and self._goes_on:
            self._obey()
            time.sleep(IDLE_SECONDS)

    @property
    def _plays_recording(self) -> bool:
        recording = self._recording
        return self._next is None and recording is not None and self.wish.stage == recording.recorded.stage

    def _plays_on_from(self, past: Past) -> bool:
        """Whether the agent plays on from a frame that was gone back to. Without one, what was pressed then goes on."""
        return not self.wish.paused and (past.trained is not None or self._next is not None)

    def _hand_over(self) -> None:
        """Let the agent play on, in an episode of its own, from the frame that is shown of somebody else's."""
        self._again = True
        course, recorded = self._course, self._recorded
        if isinstance(course, PadEpisode) and recorded is not None and course.outcome is None:
            self._opening = recorded.branch(recorded.number, self._frame)

    def _begin(self, past: Past | None, opening: Recorded | None) -> Course:
        """Make the next episode, or one of this sitting anew."""
        wish, trained = self.wish, self._trained
        if trained is None:
            if past is None:
                return PadEpisode(EnvConfig(stage=wish.stage, emulator=self._emulator))
            known = past.recorded
            config = EnvConfig(stage=known.stage, rom=known.rom, emulator=known.emulator)
            return PadEpisode(config, bytes(known.buttons))
        import torch

        from mario_rl.watch.play import Episode

        torch.set_num_threads(1)  # a value takes 2 ms on one; more threads would only take cores from the viewers
        if past is not None:
            stage, begun = past.recorded.stage, past.opening
        elif opening is not None:
            stage, begun = opening.stage, bytes(opening.buttons)
        else:
            stage, begun = wish.stage, None
        return Episode(
            trained.policy,
            trained.config,
            stage=stage,
            protocol=wish.protocol if past is None else past.protocol,
            seed=self._seed,
            number=self._take_order() if past is None else past.order,
            script=() if past is None else past.choices,
            opening=begun,
        )

    def _recorded_of(self, course: Course, number: int, past: Past | None, opening: Recorded | None) -> Recorded:
        """Begin to keep what is pressed."""
        if past is not None:
            return past.recorded
        trained = self._trained
        if trained is None:
            return Recorded(number, course.stage, None, self._emulator, Made(by="human"))
        env, protocol = trained.config.env, self.wish.protocol
        made = Made(by="agent", name=trained.file.stem, protocol=protocol, seed=self._seed, episode=self._order)
        makers = set() if opening is None else {opening.made.by, *opening.makers}
        return Recorded(number, course.stage, env.rom, env.emulator, made, makers=makers)

    def _take_number(self) -> int:
        self._number += 1
        return self._number

    def _take_order(self) -> int:
        self._order += 1
        return self._order

    @property
    def _is_held_back(self) -> bool:
        return not self.audience or self._waits_for_hand or (self.wish.paused and self._step >= self._pause_at)

    @property
    def _goes_on(self) -> bool:
        return not self._again and not self._closed.is_set()

    def _held(self) -> int | None:
        """What a person holds down, which does not count while what was played is only looked at."""
        looks_back = self._back_to is not None and (self._frame < self._back_to or self.wish.paused)
        return None if looks_back else self.wish.held

    def _look(self, decision: Decision, trained: Trained | None) -> None:
        """Draw what the network got, and what the value depends on if anybody wants to know."""
        self._stack = png(np.hstack(list(decision.observation)))
        self._saliency = b""
        if self.wish.saliency and trained is not None:
            from mario_rl.watch.saliency import saliency

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

    def _show(self, shown: Shown, number: int, trained: Trained | None, *, frames: int) -> None:
        decision = shown.decision
        if trained is None:
            self._stack = self._saliency = b""
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
            "agent_steps": 0 if trained is None else trained.agent_steps,
        }
        outcome = None if self._course is None or trained is not None else self._course.outcome
        if outcome is not None:  # known with the last frame; of an agent's episode it is told after it
            header["ended"] = {"end": outcome.end, "caption": caption(*outcome)}
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

    def _keep(self, course: Course, recorded: Recorded, x: int) -> None:
        outcome, trained, number = course.outcome, self._trained, recorded.number
        recorded.outcome = outcome
        end = "as far as it went" if outcome is None else caption(*outcome)
        past = Past(
            number,
            trained,
            course.protocol,
            course.order,
            course.opening,
            tuple(course.choices),
            recorded,
            f"episode {number + 1}, {course.stage}: {end}",
        )
        # replaced, not changed: viewers' threads go through it
        first = {} if self._recording is None else {self._recording.number: self._recording}
        others = [one for one in self._past.items() if one[0] not in first]
        self._past = first | dict([*others, (number, past)][-KEPT_EPISODES:])
        if not recorded.buttons or (outcome is None and self._seek is not None):
            return  # nothing was played, or it goes on when it has been looked at
        end, x = ("broken off", x) if outcome is None else outcome
        predicted, returns = ([round(value, 4) for value in values] for values in (course.predicted, course.returns))
        ended = Ended(number, course.stage, end, x, predicted, returns, course.played_by_hand)
        self.ended = [*self.ended[1 - KEPT_ENDS :], ended]
        alone = {"human"} if trained is None else {"agent"}
        if outcome is not None and {recorded.made.by, *recorded.makers} == alone:
            key = (None if trained is None else trained.file, course.stage, course.protocol)
            clears, episodes = self._tallies.get(key, Tally())
            self._tallies[key] = Tally(clears + (outcome.end == "clear"), episodes + 1)

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
                    self.wish = replace(self.wish, held=None if message.held is None else _pressed(message.held))
                case SetStage():
                    if message.stage in STAGES:
                        self.wish, self._again = replace(self.wish, stage=message.stage), True
                case SetProtocol():
                    self.wish, self._again = replace(self.wish, protocol=message.protocol), True
                case SetAgent():
                    if message.index < len(self._places):
                        self._ask(self._places[message.index])
                case SetCheckpoint():
                    if self.place is not None and message.index < len(self.offer.paths):
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

    def _ask(self, place: Path | None) -> None:
        """Load an agent's checkpoint, or let the agent go."""
        self._asked_place = place
        if place is not None:
            self._loader.ask(find_checkpoints(place)[-1])
        elif self.place is not None:
            self.place, self.offer, self._next, self._again = None, Offer((), None), None, True
            self.failure = None

    def _keep_up(self, found: Found) -> None:
        """Offer what there is; take the chosen one anew if training has written it since: `latest` is the latest."""
        if found.place != self.place or found.chosen is None:  # another agent was chosen meanwhile
            return
        self.offer = _offer(found.paths, self.offer.chosen)
        is_new = found.chosen == self.offer.chosen and found.written not in (None, self._written)
        if is_new and self._loader.is_idle:
            self._loader.ask(found.chosen)

    def _use(self, loaded: Loaded) -> None:
        """Play what was loaded: at once if it was chosen, else, being the chosen one written anew, next.

        If it could not be loaded, what was there plays on.
        """
        if self._asked_place is None:  # the agent was let go meanwhile
            return
        self.failure = loaded.failure
        if loaded.trained is not None:
            self._next = loaded.trained
            if self.place is None:
                self._hand_over()
            self._again = self._again or loaded.path != self.offer.chosen
            if self._asked_place != self.place and loaded.path in (paths := find_checkpoints(self._asked_place)):
                if self.place is not None:  # without an agent, the stage was chosen
                    self.wish = replace(self.wish, stage=_first_stage(loaded.trained))
                self.place, self.offer = self._asked_place, Offer(paths, loaded.path)
            self.offer = _offer(self.offer.paths, loaded.path)
        if loaded.path == self.offer.chosen:
            self._written = loaded.written


def find_checkpoints(place: Path) -> tuple[Path, ...]:
    """List the checkpoints of a run, the one to begin with last; a file is its own."""
    if not place.is_dir():
        return (place,)
    return tuple(RunDir(place).all_checkpoints()) or (place,)  # nothing there: loading says so in one line


def _first_stage(trained: Trained) -> str:
    return trained.config.env.stages[0].replace(WHOLE_GAME, STAGES[0])


def _agent_name(place: Path | None) -> str:
    """Name a shipped agent as commands do, a run by its directory and the one above, which is its config's."""
    if place is None:
        return "no agent"
    return place.stem if place.suffix == ".pt" else "/".join(place.absolute().parts[-2:])


def _offer(paths: tuple[Path, ...], chosen: Path | None) -> Offer:
    """Offer what was found, and the one that is played, even if its file is gone."""
    return Offer(paths if chosen is None or chosen in paths else (chosen, *paths), chosen)


def _pressed(held: tuple[str, ...]) -> int:
    """The joypad byte of what is held; of two opposite directions none: a pad's cross tilts one way."""
    kept = set(held)
    for both in ({"left", "right"}, {"up", "down"}):
        if both <= kept:
            kept -= both
    return joypad_byte(tuple(kept))


def _load(checkpoint: Path | None) -> Trained | None:
    if checkpoint is None:
        return None
    from mario_rl.evaluation.trained import load_trained

    return load_trained(checkpoint)


def _as_past(trajectory: Trajectory, name: str) -> Past:
    """A trajectory as the first episode of a sitting."""
    recorded = as_recorded(trajectory)
    told = "unfinished" if recorded.outcome is None else caption(*recorded.outcome)
    return Past(0, None, "greedy", 0, None, (), recorded, f"{name}: {told}")


def _checkpoint_name(path: Path, initial_agent_steps: int) -> str:
    """Name a checkpoint of a run; its file counts from the run's beginning, agent steps are those of the agent."""
    digits = path.stem.removeprefix("step_")
    return count_text(initial_agent_steps + int(digits), "agent step") if digits.isdigit() else path.stem
