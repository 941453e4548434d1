"""A session: the parts of one training run between two sittings, and what is due of it at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
import torch

from mario_rl.agents import QAgent
from mario_rl.agents.schedules import exploration_exponents
from mario_rl.config import Config
from mario_rl.devices import resolve_device
from mario_rl.envs import num_actions
from mario_rl.evaluation import EvaluationReport
from mario_rl.files import remove_partials
from mario_rl.game.rom import load_rom
from mario_rl.replay import ReplayBuffer
from mario_rl.runs.directory import RunDir, Whereabouts
from mario_rl.runs.metrics import RunMetrics
from mario_rl.seeding import spawn_streams
from mario_rl.training.collect import Collector
from mario_rl.training.counts import Counts
from mario_rl.training.curve import Curve
from mario_rl.training.demonstrations import load_backward, load_demonstrations
from mario_rl.training.initial import load_initial
from mario_rl.training.observer import Observer, Progress, now_and_then
from mario_rl.training.saving import Checkpoints
from mario_rl.types import Steps

LARGE_REPLAY_BYTES = 500_000_000  # loading more takes longer than a moment


class Session:
    """A training run between two sittings: what the loop works on.

    agent, replay, collector: what learns, what it remembers, what plays. counts: how far all that has come.
    checkpoints: what of it is saved. curve: its picture.

    Args:
        config: what was asked for; `check_machine` has found nothing against it.
        run_dir: where its files are; must hold config.yaml, and nobody else trains in it.
        whereabouts: of that directory, since the sitting began.
        observer: told of what takes its time before training can begin, and of what is amiss but no reason to stop.
        should_stop: whether a signal has come.

    Raises:
        CheckpointError: there is a checkpoint, but it or the replay it names can't be used.
        UserError: the machine has no memory for the replay, or a table of the run can't be read.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        *,
        whereabouts: Whereabouts,
        observer: Observer,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.config = config
        self.run_dir = run_dir
        with ExitStack() as opened:  # whatever is refused on the way, nothing stays open
            self._assemble(opened, whereabouts, observer, should_stop)
            self._opened = opened.pop_all()

    def _assemble(
        self, opened: ExitStack, whereabouts: Whereabouts, observer: Observer, should_stop: Callable[[], bool]
    ) -> None:
        config, run_dir, warn = self.config, self.run_dir, observer.warned
        for folder in (run_dir.path, run_dir.checkpoints, run_dir.replay):
            remove_partials(folder)
        streams = spawn_streams(config.seed, config.training.envs)
        device = resolve_device(config.device)
        rom = load_rom(config.env.rom).sha256
        self.replay = make_replay(config, np.random.default_rng(streams.replay), load_demonstrations(config))
        self.agent = QAgent(
            config.agent,
            config.network,
            num_actions=num_actions(config.env.action_set),
            frame_stack=config.env.frame_stack,
            seed=streams.network,
            device=device,
            demonstrated=bool(config.replay.demonstrations),
        )
        self.counts = Counts(config, run_dir, self.agent)
        if not run_dir.latest.exists() and (initial := load_initial(config)) is not None:
            self.agent.begin_with(initial.policy.network.state_dict())
            self.counts.initial_agent_steps, self.counts.initial_seconds = initial.agent_steps, initial.seconds
        self.collector = Collector(
            config.env,
            seeds=streams.environments,
            generator=np.random.default_rng(streams.exploration),
            exponents=exploration_exponents(config.training.envs, config.agent.epsilon.spread),
            should_stop=should_stop,
            on_opened=now_and_then(
                lambda opened: observer.preparing(f"opening the games: {opened} of {config.training.envs}")
            ),
            backward=load_backward(config),
        )
        opened.callback(self.collector.close)
        torch.manual_seed(streams.dropout)  # dropout draws from the global generator
        self.checkpoints = Checkpoints(
            config,
            run_dir,
            rom=rom,
            whereabouts=whereabouts,
            agent=self.agent,
            replay=self.replay,
            collector=self.collector,
            counts=self.counts,
            warn=warn,
        )
        if run_dir.latest.exists():
            size = sum(file.stat().st_size for file in run_dir.replay_files())
            if size > LARGE_REPLAY_BYTES:
                observer.preparing(f"loading a replay of {size / 1e9:.1f} GB")
            self.checkpoints.restore()
        else:
            self.collector.start()
        metrics = RunMetrics(
            run_dir,
            snapshots=config.env.snapshot_probability > 0 or bool(config.training.backward_starts),
            resume_at=self.counts.agent_steps,
            evaluated_at=self.counts.evaluated_at,
            whereabouts=whereabouts,
        )
        opened.callback(metrics.close)
        self.counts.start(metrics)
        self.curve = Curve(
            run_dir, whereabouts=whereabouts, every_seconds=config.logging.curve_every_seconds, warn=warn
        )

    @property
    def updates_due(self) -> int:
        """Updates to make while the next agent step is played: one per `agent.steps_per_update` since the warm-up.

        Those on demonstrations, before the first agent step, come on top. They count that step as well, so that none is
        owed when it ends, and sample what came before it.
        """
        since_warmup = self.counts.agent_steps + self.config.training.envs - self.config.replay.warmup_steps
        if since_warmup <= 0 or len(self.replay) == 0:
            return 0
        due = since_warmup // self.config.agent.steps_per_update
        return self.config.training.demonstration_updates + due - self.agent.updates

    @property
    def learns_from_demonstrations(self) -> bool:
        """Whether updates on demonstrations alone are due, before the first agent step."""
        before_all = self.counts.agent_steps == 0 and self.stop_reason is None
        return before_all and self.agent.updates < self.config.training.demonstration_updates

    @property
    def evaluation_due(self) -> bool:
        """Whether `evaluation.every_steps` have been made since the last evaluation was due."""
        every = self.config.evaluation.every_steps
        return every is not None and self.counts.agent_steps // every > self.counts.evaluated_at // every

    @property
    def last_evaluation_due(self) -> bool:
        """Whether a run that ends here still has to evaluate the agent it leaves."""
        return self.config.evaluation.every_steps is not None and self.counts.evaluated_at < self.counts.agent_steps

    @property
    def checkpoint_due(self) -> bool:
        """Whether `training.checkpoint_every_steps` have been made since the last checkpoint was due."""
        every = self.config.training.checkpoint_every_steps
        return self.counts.agent_steps // every > self.checkpoints.saved_at // every

    @property
    def stop_reason(self) -> str | None:
        """Name the config key of the stop condition that is met."""
        training, best = self.config.training, self.checkpoints.best
        limits = {
            "training.agent_steps": (self.counts.agent_steps, training.agent_steps),
            "training.episodes": (self.counts.episodes, training.episodes),
            "training.minutes": (self.counts.seconds / 60, training.minutes),
            "training.clear_rate": (best[0] if best else 0.0, training.clear_rate),
        }
        return next((key for key, (now, limit) in limits.items() if limit is not None and now >= limit), None)

    def log(self) -> None:
        """Write a row of metrics, and redraw the curve, when it is time."""
        self.counts.write_row_when_due()
        self.curve.draw_when_due()

    def progress(self) -> Progress:
        """Say where the run stands."""
        return self.counts.progress(waited_seconds=self.collector.waited_seconds)

    def count_evaluation(self, report: EvaluationReport) -> bool:
        """Write an evaluation's rows and keep the agent as `best` if none before was better; returns whether so."""
        self.counts.count_evaluation(report.rows())
        return self.checkpoints.keep_if_best(report)

    def save_and_draw(self, observer: Observer) -> None:
        """Leave everything as a run should be left: saved first, drawn after."""
        self.counts.write_row()
        if self.checkpoints.unsaved:
            observer.saved(self.checkpoints.save(), self.counts.agent_steps)
        self.curve.draw()

    def close(self) -> None:
        """Close the emulators and the metrics."""
        self._opened.close()


def make_replay(config: Config, rng: np.random.Generator, demonstrations: Sequence[Steps] = ()) -> ReplayBuffer:
    """Make a replay as a config asks for it, empty but for demonstrations.

    Raises:
        UserError: the machine has no memory for it.
    """
    return ReplayBuffer(
        config.replay.capacity,
        num_envs=config.training.envs,
        num_actions=num_actions(config.env.action_set),
        frame_stack=config.env.frame_stack,
        n_step=config.agent.n_step,
        gamma=config.agent.gamma,
        rng=rng,
        priority_exponent=config.replay.priority_exponent,
        importance_exponent=config.replay.importance_exponent,
        demonstrations=demonstrations,
        demonstration_bonus=config.replay.demonstration_bonus,
        device=torch.device(config.replay.device),
        learner_device=resolve_device(config.device),
    )
