"""A video of what the page shows, without a browser: the game, and beside it what the agent expects and presses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain, repeat
from pathlib import Path

import cv2
import numpy as np

from mario_rl.config import Protocol
from mario_rl.envs import action_names
from mario_rl.evaluation import EvaluationInterrupted, Trained, evaluate_policy, load_trained
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.game.actions import BUTTON_BITS
from mario_rl.report.endings import caption
from mario_rl.report.video import GAME_FPS, Recording, write_screens, write_video, written_over
from mario_rl.runs.directory import RunDir
from mario_rl.types import EpisodeResult, Pixels
from mario_rl.watch.frames import Decision, Shown
from mario_rl.watch.play import Episode

SCALE = 2
PANEL = 288  # pixels beside the game
INK, FAINT, BAR, BEST, PAPER = (233, 235, 238), (150, 156, 164), (111, 183, 242), (255, 158, 79), (19, 21, 24)
"""RGB, those of the page in the dark."""


def record(
    checkpoint: Path,
    output: Path,
    *,
    episodes: int,
    protocol: Protocol,
    seed: int = 0,
    stage: str | None = None,
    overlay: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    on_episode: Callable[[EpisodeResult, int], None] = lambda result, total: None,
) -> list[EpisodeResult]:
    """Film episodes of a checkpoint, the ones that `evaluate` plays under the same protocol and seed.

    Args:
        checkpoint: a file or a run directory.
        output: the MP4: H.264, 512 x 480 pixels, 800 x 480 with the overlay.
        episodes: how many; of a protocol that has fewer, all it has.
        protocol: the source of chance.
        seed: of it.
        stage: None for the first it was trained on.
        overlay: whether to show the values, the buttons and what the network gets beside the game.
        should_stop: asked at every frame; the video then ends with it.
        on_episode: told how each went, and how many there are.

    Returns:
        How the episodes went that were filmed to their end.

    Raises:
        CheckpointError: the file cannot be used. UserError: an argument cannot.
        EvaluationInterrupted: `should_stop` said so before an episode had ended; there is no video.
        StorageError: the disk refused.
    """
    trained = load_trained(checkpoint, stage=stage)
    where = trained.config.env.stages[0]
    count = min(episodes, PROTOCOLS[protocol].fixed_episodes or episodes)
    results: list[EpisodeResult] = []

    def screens() -> Iterator[Pixels]:
        for number in range(count):
            episode = Episode(trained.policy, trained.config, stage=where, protocol=protocol, seed=seed, number=number)
            widest = 0.0  # gap between the values of the best and the worst action, in this episode so far
            with closing(episode.play()) as frames:
                for shown in frames:
                    if shown.decision is not None:
                        widest = max(widest, max(shown.decision.q_values) - min(shown.decision.q_values))
                    if should_stop():
                        if not results:
                            raise EvaluationInterrupted
                        return
                    yield _picture(shown, trained, widest) if overlay else _enlarged(shown.screen)
            assert episode.result is not None
            results.append(episode.result)
            on_episode(episode.result, count)
            end = caption(episode.result.end, episode.result.x)
            ended = shown._replace(screen=written_over(shown.screen, banner=end))
            yield from repeat(_picture(ended, trained, widest) if overlay else _enlarged(ended.screen), GAME_FPS)

    frames = screens()
    begin = next(frames)  # so that a checkpoint that can't play fails before anything is written
    write_screens(output, chain([begin], frames), title=f"{trained.file.name}, {where}, {protocol}", scale=1)
    return results


def record_progress(
    run: Path,
    output: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    on_episode: Callable[[EpisodeResult, int], None] = lambda result, total: None,
) -> list[tuple[Trained, EpisodeResult]]:
    """Film what a run learned: a greedy episode of each of its checkpoints, first to best.

    Args:
        run: a run directory.
        output: the MP4: H.264, 512 x 480 pixels. Each episode has its agent steps and minutes of training at its foot.
        should_stop: asked at every frame; there is no film then.
        on_episode: told how each went, and how many there are.

    Returns:
        The checkpoints filmed and how their episodes went, in that order.

    Raises:
        CheckpointError: there is none, or one can't be used. FilmingInterrupted: `should_stop` said so.
        StorageError: the disk refused.
    """
    kept = RunDir(run)
    by_file = {file: load_trained(file) for file in kept.all_checkpoints() or [run]}
    by_age = {trained.agent_steps: trained for trained in by_file.values()}  # the same but once
    best = by_file.get(kept.best)
    order = [by_age[age] for age in sorted(by_age) if best is None or age != best.agent_steps]
    order += [] if best is None else [best]
    played: list[tuple[Trained, EpisodeResult]] = []
    recordings = []
    for trained in order:
        episode = evaluate_policy(
            trained.policy, trained.config, protocol="greedy", seed=0, should_stop=should_stop
        ).episodes[0]
        minutes = trained.seconds / 60
        heading = f"{trained.agent_steps:,} agent steps, {minutes:,.{int(minutes < 10)}f} min"
        stage, rom, result = episode.stage, trained.config.env.rom, episode.result
        banner = caption(result.end, result.x)
        recordings.append(
            Recording(stage, episode.buttons, f"{heading}: {banner}", rom, heading=heading, banner=banner)
        )
        played.append((trained, result))
        on_episode(result, len(order))
    write_video(output, recordings, should_stop=should_stop)
    return played


def _enlarged(screen: Pixels) -> Pixels:
    return np.repeat(np.repeat(screen, SCALE, axis=0), SCALE, axis=1)


def _picture(shown: Shown, trained: Trained, widest: float) -> Pixels:
    """Put the game and the panel side by side: uint8 (480, 800, 3). `widest` is as `_bars` has it."""
    game = _enlarged(shown.screen)
    panel = np.full((game.shape[0], PANEL, 3), PAPER, dtype=np.uint8)
    _write(panel, f"x {shown.x:,}   score {shown.score:,}   clock {shown.clock}", (12, 24), FAINT)
    if shown.decision is not None:
        _bars(panel, shown.decision, action_names(trained.config.env.action_set), widest)
        stack = np.hstack(list(shown.decision.observation))
        small = cv2.resize(
            stack, (PANEL - 24, (PANEL - 24) // len(shown.decision.observation)), interpolation=cv2.INTER_AREA
        )
        panel[-small.shape[0] - 12 : -12, 12:-12] = small[..., np.newaxis]
    for index, (name, bit) in enumerate((one, BUTTON_BITS[one]) for one in ("left", "right", "up", "down", "A", "B")):
        _write(panel, name, (12 + 45 * index, 380), BEST if shown.byte & bit else FAINT)
    picture: Pixels = np.hstack([game, panel])
    return picture


def _bars(panel: Pixels, decision: Decision, names: tuple[str, ...], widest: float) -> None:
    """Draw what each action is worth more than the worst, as the page does; a bar as long as `widest` is full."""
    worst = min(decision.q_values)
    pixels_per_point = 96 / max(widest, 1e-9)
    height = min(36, 310 // len(names))
    for index, (name, value) in enumerate(zip(names, decision.q_values, strict=True)):
        top = 44 + index * height
        chosen = index == decision.action
        _write(panel, name, (12, top + 14), BEST if chosen else INK)
        tip = 112 + round((value - worst) * pixels_per_point)
        cv2.rectangle(panel, (112, top + 3), (tip, top + 15), BEST if chosen else BAR, thickness=-1)
        _write(panel, f"{value:.2f}", (216, top + 14), INK)
    if decision.action != decision.best:
        _write(panel, "a random action", (12, 44 + len(names) * height + 10), BEST)


def _write(panel: Pixels, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(panel, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
