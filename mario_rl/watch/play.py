"""Playing for somebody who watches: every emulator frame, with what the agent saw and expected."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from mario_rl.agents import epsilon_greedy
from mario_rl.config import Config, Protocol
from mario_rl.envs import action_buttons, action_names, make_env, make_game
from mario_rl.envs.progress import Position, read_position, read_screen_left
from mario_rl.evaluation import discounted_returns, protocol_env
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.game.actions import Buttons, joypad_byte
from mario_rl.seeding import episode_seeds
from mario_rl.types import EpisodeResult, Pixels, Policy

PAD: tuple[Buttons, ...] = tuple(
    tuple(button for button in held if button) or ("NOOP",)
    for held in product(("", "left", "right", "up", "down"), ("", "A"), ("", "B"))
)
"""What a person can hold down: one direction, A and B."""


class Decision(NamedTuple):
    """One agent step.

    step: counted from 0. q_values: of the agent's actions, in order. action: the agent's, None if a person played.
    best: the action of the highest value. buttons: names of what was pressed. byte: the same for the emulator.
    observation: what the network got, uint8 (stack, 84, 84).
    """

    step: int
    q_values: tuple[float, ...]
    action: int | None
    best: int
    buttons: str
    byte: int
    observation: Pixels


class Choice(NamedTuple):
    """What an agent step was chosen by: the values, and what a person held down; None where the agent played."""

    q_values: tuple[float, ...]
    held: Buttons | None


class Shown(NamedTuple):
    """One emulator frame.

    frame: counted from 0, the screen of the reset. screen: uint8 (240, 256, 3), a copy. byte: what it was sent.
    decision: the agent step it belongs to; None during the no-ops before the first. x, score, coins, clock, stage: the
    game's own. left: the x at the left edge of the screen; None outside the area the episode began in.
    """

    frame: int
    screen: Pixels
    byte: int
    decision: Decision | None
    x: int
    score: int
    coins: int
    clock: int
    stage: str
    left: int | None


class Episode:
    """One episode under a protocol: the one that `evaluate_policy` plays with the same seed and number.

    The agent's own environment shows no frames between agent steps. So a second emulator gets the same bytes and is the
    one to be looked at; the game is deterministic, and what the agent meets is untouched.

    Args:
        policy: whose values are shown, and who plays unless a person does.
        config: of its training.
        stage: where.
        protocol: the source of chance.
        seed: of it.
        number: of the episode, counted from 0, over all of that seed; under noop, the frames without input.
        script: choices of this very episode, played earlier, that are made again first. All that follows from them is
            the same as then, since the game is deterministic and the chance is the seed's.
    """

    def __init__(
        self,
        policy: Policy,
        config: Config,
        *,
        stage: str,
        protocol: Protocol,
        seed: int,
        number: int,
        script: Sequence[Choice] = (),
    ) -> None:
        self._policy, self._config, self.stage, self.protocol = policy, config, stage, protocol
        rules = PROTOCOLS[protocol]
        count = rules.fixed_episodes or number + 1
        self.order = number
        self._number = number % count
        self._seed = episode_seeds(seed, count)[self._number]
        self._noop_frames = self._number if protocol == "noop" else 0
        self.names = action_names(config.env.action_set)
        actions = action_buttons(config.env.action_set)
        # The agent's actions first, so that theirs are the same numbers with and without a person at the pad.
        both = protocol_env(config.env, stage, rules).model_copy(update={"action_set": (*actions, *PAD)})
        self._env = make_env(both)
        self._choose = partial(epsilon_greedy, epsilon=rules.epsilon, generator=np.random.default_rng(self._seed))
        self._script = deque(script)
        self.choices: list[Choice] = []
        self.is_live = not script
        self.predicted: list[float] = []
        self.rewards: list[float] = []
        self.played_by_hand = False
        self.result: EpisodeResult | None = None

    @property
    def buttons(self) -> tuple[int, ...]:
        """The joypad byte of every emulator frame so far: enough to play it again."""
        return tuple(self._env.buttons_sent)

    @property
    def returns(self) -> list[float]:
        """The discounted return that followed each agent step, as far as it has been played."""
        return discounted_returns(self.rewards, self._config.agent.gamma)

    def cut(self) -> None:
        """Leave the rest of the script: what comes now is chosen anew."""
        self._script.clear()

    def play(self, hand: Callable[[], Buttons | None] = lambda: None) -> Generator[Shown]:
        """Play to the end, a frame at a time.

        Args:
            hand: asked at every agent step what a person holds down; None where the agent plays.
        """
        screen: Any = make_game(self._config.env.model_copy(update={"stage": self.stage}))
        try:
            observation, _ = self._env.reset(seed=self._seed, options={"noop_frames": self._noop_frames})
            first, info = screen.reset()
            began = read_position(screen.unwrapped.ram)
            yield _shown(0, first, 0, None, info, left=read_screen_left(screen.unwrapped.ram))
            yield from self._frames(screen, 0, None, began)
            while self.result is None:
                decision = self._decide(observation, hand())
                sent = len(self._env.buttons_sent)
                action = decision.action
                if action is None:
                    action = len(self.names) + [joypad_byte(one) for one in PAD].index(decision.byte)
                observation, reward, terminated, truncated, info = self._env.step(action)
                self.rewards.append(float(reward))
                self.predicted.append(max(decision.q_values))
                if terminated or truncated:
                    self.result = info["episode_result"]
                yield from self._frames(screen, sent, decision, began)
        finally:
            screen.close()
            self._env.close()

    def _decide(self, observation: Pixels, held: Buttons | None) -> Decision:
        if held is not None:
            self.cut()
        if self._script:
            scripted = self._script.popleft()
            held, q_values = scripted.held, np.array([scripted.q_values], dtype=np.float32)
        else:
            self.is_live = True
            q_values = self._policy.q_values(observation[np.newaxis])
        chosen = int(self._choose(q_values)[0])  # also when a person plays: the agent's chance stays its own
        if held is not None:
            self.played_by_hand = True
        buttons = action_buttons(self._config.env.action_set)[chosen] if held is None else held
        values = tuple(float(value) for value in q_values[0])
        self.choices.append(Choice(values, held))
        return Decision(
            step=len(self.rewards),
            q_values=values,
            action=chosen if held is None else None,
            best=int(q_values[0].argmax()),
            buttons="+".join(buttons),
            byte=joypad_byte(buttons),
            observation=observation.copy(),
        )

    def _frames(self, screen: Any, sent: int, decision: Decision | None, began: Position) -> Iterator[Shown]:
        """Show what the bytes since the `sent`-th did."""
        ram = screen.unwrapped.ram
        for number, byte in enumerate(self._env.buttons_sent[sent:], start=sent + 1):
            left = read_screen_left(ram)  # before the frame, which is drawn with it
            pixels, _, _, _, info = screen.step(byte)
            now = read_position(ram)
            same = (now.stage, now.area) == (began.stage, began.area)
            yield _shown(number, pixels, byte, decision, info, left=left if same else None)


def _shown(
    frame: int, screen: Pixels, byte: int, decision: Decision | None, info: dict[str, Any], *, left: int | None
) -> Shown:
    return Shown(
        frame=frame,
        screen=screen.copy(),  # it is live memory
        byte=byte,
        decision=decision,
        x=int(info.get("x_pos", 0)),
        score=int(info.get("score", 0)),
        coins=int(info.get("coins", 0)),
        clock=int(info.get("time", 0)),
        stage=f"{info.get('world', '?')}-{info.get('stage', '?')}",
        left=left,
    )
