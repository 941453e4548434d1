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
from mario_rl.config.schema import STAGES
from mario_rl.envs import action_names
from mario_rl.errors import FailedError, UserError
from mario_rl.game.actions import joypad_byte
from mario_rl.report.endings import caption
from mario_rl.report.video import GAME_FPS
from mario_rl.trajectories import Emulator, Made, Trajectory
from mario_rl.watch.agents import Agents, Change, Offer, agent_name, checkpoint_name, first_stage
from mario_rl.watch.background import Background
from mario_rl.watch.frames import Course, Decision, Shown
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
from mario_rl.watch.recorded import Recorded
from mario_rl.watch.sitting import Ended, Past, Sitting
from mario_rl.watch.stage_map import StageMap

if TYPE_CHECKING:
    from mario_rl.evaluation import Trained

HELD_SECONDS = 1.5  # the last frame of an episode stays so long, at the game's own speed
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
        self._seed, self._emulator = seed, emulator
        self._wanted = stage, protocol
        self._agents, self._sitting = Agents(place, others, live=live), Sitting(recording, name)
        self.audience = 1  # how many look on; nothing is played for nobody
        self._name = name
        self._about = "" if recording is None else f"made by {recording.made}; it {recording.ending}"
        self.picture = Picture(-1, b"")
        self.predicted = Predicted(-1, [])
        self.stage_picture = StagePicture("", 0, b"")
        self.failure: str | None = None
        self._stage_maps: dict[str, StageMap] = {}
        self._seek: Seek | None = None
        self._opening: Recorded | None = None  # what an agent that was chosen meanwhile takes over
        self._recorded: Recorded | None = None  # what is shown
        self._course: Course | None = None
        self._mail = Mail()
        self._closed = threading.Event()
        self._again = False  # begin another episode at the next frame
        self._frame = 0  # shown
        self._back_to: int | None = None  # the frame that was gone back to, until it is played on from there
        self._step, self._pause_at = 0, 0  # agent step shown, and the one up to which a paused game goes on
        self._due = time.monotonic()
        self._stack, self._saliency = b"", b""
        self._thread = Background("playing", self._run)
        self._trained: Trained | None = None  # who plays the episode that is shown
        if self.waiting is None:
            self._load_first()

    @property
    def waiting(self) -> str | None:
        """What is waited for before anything can be played, as a sentence."""
        return self._agents.waiting

    @property
    def place(self) -> Path | None:
        """The checkpoint file or run directory of the agent that plays; None without one."""
        return self._agents.place

    @property
    def offer(self) -> Offer:
        """Its checkpoints."""
        return self._agents.offer

    @property
    def ended(self) -> list[Ended]:
        """The episodes of this sitting that ended."""
        return self._sitting.ended

    def _load_first(self) -> None:
        """Load what is to be played first.

        Raises:
            CheckpointError: it can't be used.
        """
        self._agents.load_first()
        self._trained = self._agents.trained
        stage, protocol = self._wanted
        if stage is None:
            stage = STAGES[0] if self._trained is None else first_stage(self._trained)
        self.wish = Wish(stage, protocol)
        self._agents.waiting = None  # last: from here on viewers' threads ask what is chosen

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
            return {"waiting": self.waiting, "agent": agent_name(self.place), "failure": self.failure}
        wish, agents, trained = self.wish, self._agents, self._trained
        return {
            **({} if trained is None else self._mind(trained)),
            "thinks": trained is not None,
            "solo": agents.places == (None,),
            "waits": self._waits_for_hand,
            "title": self._title(),
            "about": self._about,
            "checkpoints": [] if trained is None else self._checkpoint_names(trained),
            "stages": list(dict.fromkeys((*STAGES, wish.stage))),
            "agents": [agent_name(place) for place in agents.places],
            "agent": agents.index,
            "seed": self._seed,
            "tally": list(self._sitting.tally(trained, wish.stage, wish.protocol)),
            "past": [[past.number, past.caption] for past in reversed(self._sitting.past.values())],
            "stage": wish.stage,
            "protocol": wish.protocol,
            "checkpoint": agents.checkpoint,
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
            "card": {protocol: list(clears) for protocol, clears in self._agents.card_of(trained.file).items()},
            "gamma": config.agent.gamma,
            "points_per_reward": 1 / config.env.reward_scale,
        }

    def _checkpoint_names(self, trained: Trained) -> list[str]:
        return [checkpoint_name(path, trained.initial_agent_steps) for path in self.offer.paths]

    def _title(self) -> str:
        stage = self.wish.stage
        if self._trained is not None or self.place is not None:
            return f"{agent_name(self.place)} on {stage}"
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
        shown, past = self._recorded, self._sitting.past
        if shown is not None and number in (None, shown.number):
            return shown
        return past[number].recorded if number in past else None

    def refresh(self) -> None:
        """Look for checkpoints that a run in training has written since; not from the game's thread: disks are slow.

        New ones are offered from the next frame on. If the chosen one was written anew, as `latest` is, it is loaded.
        """
        self._agents.look()

    def _run(self) -> None:
        try:
            self._wait_for_checkpoint()
            while not self._closed.is_set():
                seek, self._seek = self._seek, None
                past = None if seek is None else self._sitting.past.get(seek.episode)
                if seek is not None and past is not None:
                    self._play(past, from_frame=min(seek.frame, past.frames))
                elif self._plays_recording:
                    self._play(self._sitting.recording)
                else:
                    self._play()
        except Exception as error:  # a page that stands still must say why
            self.failure = " ".join(str(error).split()) or type(error).__name__
            if not isinstance(error, (UserError, FailedError)):  # a mistake of ours
                raise

    def _wait_for_checkpoint(self) -> None:
        while self.waiting is not None and not self._closed.wait(SECONDS_BETWEEN_LOOKS):
            if self._agents.is_there:
                self._load_first()

    def _play(self, past: Past | None = None, *, from_frame: int = 0) -> None:
        """Play an episode to its end, or until something else is asked for.

        Args:
            past: one of this sitting, which is played again; None for the next.
            from_frame: of which nothing is shown before.
        """
        opening, self._opening = self._opening, None
        self._trained = self._agents.trained if past is None else past.trained
        trained = self._trained
        self._again, self._step, self._pause_at = False, -1, 0 if past is None else -1
        self._due = time.monotonic()
        number = self._sitting.take_number() if past is None else past.number
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
                    past, number, self._back_to = None, self._sitting.take_number(), None
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
            goes_on = course.outcome is None and self._seek is not None
            self._sitting.keep(course, recorded, self._trained, x, goes_on=goes_on)
        if past is not None and past is self._sitting.recording and self._goes_on:
            self.wish = replace(self.wish, paused=True)  # as a film, it stands still at its end
        held_until = time.monotonic() + HELD_SECONDS
        while (self._is_held_back or (self.wish.speed and time.monotonic() < held_until)) and self._goes_on:
            self._obey()
            time.sleep(IDLE_SECONDS)

    @property
    def _plays_recording(self) -> bool:
        recording = self._sitting.recording
        return self._agents.trained is None and recording is not None and self.wish.stage == recording.recorded.stage

    def _plays_on_from(self, past: Past) -> bool:
        """Whether the agent plays on from a frame that was gone back to. Without one, what was pressed then goes on."""
        return not self.wish.paused and (past.trained is not None or self._agents.trained is not None)

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
            number=self._sitting.take_order() if past is None else past.order,
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
        made = Made(by="agent", name=trained.file.stem, protocol=protocol, seed=self._seed, episode=self._sitting.order)
        makers = set() if opening is None else {opening.made.by, *opening.makers}
        return Recorded(number, course.stage, env.rom, env.emulator, made, makers=makers)

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
        self._agents.keep_up()
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
                    if message.index < len(self._agents.places):
                        self._choose(message.index)
                case SetCheckpoint():
                    self._agents.choose_checkpoint(message.index)
                case Seek():
                    if message.episode in self._sitting.past or message.episode == self.predicted.episode:
                        self._seek, self._again = message, True
                        self.wish = replace(self.wish, paused=True)
                case Simple(do="restart"):
                    self._again = True
                case Simple(do="step"):
                    self.wish, self._pause_at = replace(self.wish, paused=True), max(self._step, 0) + 1
                case Simple():
                    self.wish, self._pause_at = replace(self.wish, paused=message.do == "pause"), 0
        if (change := self._agents.take()) is not None:
            self._follow(change)

    def _choose(self, index: int) -> None:
        """Load an agent's checkpoint, or let the agent go."""
        if self._agents.places[index] is not None:
            self._agents.choose(index)
        elif self._agents.let_go():
            self._again, self.failure = True, None

    def _follow(self, change: Change) -> None:
        """Let what was loaded play: at once if it was chosen, else, being the chosen one written anew, next."""
        self.failure = change.failure
        if change.takes_over:
            self._hand_over()
        if change.stage is not None:
            self.wish = replace(self.wish, stage=change.stage)
        self._again = self._again or change.at_once


def _pressed(held: tuple[str, ...]) -> int:
    """The joypad byte of what is held; of two opposite directions none: a pad's cross tilts one way."""
    kept = set(held)
    for both in ({"left", "right"}, {"up", "down"}):
        if both <= kept:
            kept -= both
    return joypad_byte(tuple(kept))
