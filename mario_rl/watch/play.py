"""Playing for somebody who watches an agent: every emulator frame, with what the agent saw and expected."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial

import numpy as np

from mario_rl.agents import epsilon_greedy
from mario_rl.config import Config, Protocol
from mario_rl.envs import action_buttons, action_names, make_env
from mario_rl.evaluation import discounted_returns, protocol_env
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.game.actions import ALL_BYTES, button_names, joypad_byte
from mario_rl.seeding import episode_seeds
from mario_rl.types import EpisodeResult, Pixels, Policy
from mario_rl.watch.frames import Choice, Course, Decision, Hand, Outcome, Screens, Shown


class Episode(Course):
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
        opening: joypad bytes that somebody else played, where the agent takes over after them: it begins as at a
            reset, with nothing in its stack of frames but the one of that moment. None for the protocol's own start.
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
        opening: bytes | None = None,
    ) -> None:
        super().__init__(stage)
        self._policy, self._config, self.protocol = policy, config, protocol
        rules = PROTOCOLS[protocol]
        count = rules.fixed_episodes or number + 1
        self.order = number
        self._number = number % count
        self._seed = episode_seeds(seed, count)[self._number]
        self.opening = opening
        self._begun = bytes(self._number if protocol == "noop" else 0) if opening is None else opening
        self.names = action_names(config.env.action_set)
        actions = action_buttons(config.env.action_set)
        # The agent's actions first, so that theirs are the same numbers with and without a person at the pad.
        both = protocol_env(config.env, stage, rules).model_copy(update={"action_set": (*actions, *ALL_BYTES)})
        self._env = make_env(both)
        self._choose = partial(epsilon_greedy, epsilon=rules.epsilon, generator=np.random.default_rng(self._seed))
        self._script = deque(script)
        self.is_live = not script
        self.result: EpisodeResult | None = None

    @property
    def outcome(self) -> Outcome | None:
        return None if self.result is None else Outcome(self.result.end, self.result.x)

    @property
    def buttons(self) -> tuple[int, ...]:
        """The joypad byte of every emulator frame so far: enough to play it again."""
        return tuple(self._env.buttons_sent)

    @property
    def returns(self) -> list[float]:
        return discounted_returns(self.rewards, self._config.agent.gamma)

    def cut(self) -> None:
        self._script.clear()

    def play(self, hand: Hand = lambda: None) -> Generator[Shown]:
        """Play to the end, a frame at a time; `hand` is asked at every agent step."""
        with closing(self._env), closing(Screens(self._config.env.model_copy(update={"stage": self.stage}))) as screens:
            observation, _ = self._env.reset(seed=self._seed, options={"opening": self._begun})
            yield screens.first()
            for byte in self._env.buttons_sent:
                yield screens.next(byte)
            while self.result is None:
                decision = self._decide(observation, hand())
                sent = len(self._env.buttons_sent)
                action = decision.action
                if action is None:
                    action = len(self.names) + decision.byte
                observation, reward, terminated, truncated, info = self._env.step(action)
                self.rewards.append(float(reward))
                self.predicted.append(max(decision.q_values))
                if terminated or truncated:
                    self.result = info["episode_result"]
                for byte in self._env.buttons_sent[sent:]:
                    yield screens.next(byte, decision)

    def _decide(self, observation: Pixels, held: int | None) -> Decision:
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
        byte = joypad_byte(action_buttons(self._config.env.action_set)[chosen]) if held is None else held
        values = tuple(float(value) for value in q_values[0])
        self.choices.append(Choice(values, held))
        return Decision(
            step=len(self.rewards),
            q_values=values,
            action=chosen if held is None else None,
            best=int(q_values[0].argmax()),
            buttons=self.names[chosen] if held is None else button_names(held),
            byte=byte,
            observation=observation.copy(),
        )
