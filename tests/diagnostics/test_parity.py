"""Two emulators side by side on the real game: a few thousand frames by default, a million in `make test-slow`."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from mario_rl.cli import main
from mario_rl.config.schema import STAGES, WHOLE_GAME
from mario_rl.diagnostics import parity
from mario_rl.diagnostics.parity import compare_emulators, random_bytes
from mario_rl.envs import make_game

pytestmark = pytest.mark.emulator

EVERYTHING = (*STAGES, WHOLE_GAME)
MILLION = -(-1_000_000 // len(EVERYTHING))  # frames of each


@pytest.mark.parametrize(("stage", "frames"), [("1-1", 500), ("2-2", 200), ("4-4", 200), ("8-2", 200), ("game", 400)])
def test_both_emulators_play_the_same(stage: str, frames: int) -> None:
    comparison = compare_emulators(stage, frames=frames, seed=1)
    assert comparison.parting is None, comparison.parting
    assert comparison.frames == frames


@pytest.mark.slow
@pytest.mark.parametrize("stage", EVERYTHING)
def test_both_emulators_play_the_same_a_million_frames_long(stage: str) -> None:
    comparison = compare_emulators(stage, frames=MILLION, seed=EVERYTHING.index(stage))
    assert comparison.parting is None, comparison.parting
    assert sum(comparison.ends.values()) > 5  # it was play, not a black screen


def test_a_byte_that_differs_is_found_in_its_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    games = []

    def tampered(config):
        game = make_game(config)
        games.append(game)
        if config.emulator == "native":
            step = game.step

            def step_and_tamper(byte):
                outcome = step(byte)
                if len(sent) == 30:
                    game.unwrapped.ram[0x07DD] ^= 0x01  # the score's first digit
                sent.append(byte)
                return outcome

            game.step = step_and_tamper
        return game

    sent: list[int] = []
    monkeypatch.setattr(parity, "make_game", tampered)
    parting = compare_emulators("1-1", frames=100, seed=0).parting
    assert parting is not None
    assert (parting.frame, parting.episode_frame, parting.byte) == (31, 31, sent[30])
    assert [address for address, *_ in parting.memory] == [0x07DD]
    assert "frame 31" in str(parting)
    assert "$07DD" in str(parting)


def test_what_is_pressed_has_every_byte_both_directions_and_long_holds() -> None:
    pressed = random_bytes(np.random.default_rng(0))
    sent = [next(pressed) for _ in range(50_000)]
    assert set(sent) == set(range(256))
    assert sum(byte & 0x80 != 0 for byte in sent) > sum(byte != 0 for byte in sent) / 2
    assert max(len(list(held)) for _, held in groupby(sent)) >= 40


def test_the_command_says_that_they_agree_and_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--parity", "--frames", "60"]) == 0
    said = capsys.readouterr().out
    assert "60 frames, seed 0: memory, pixels, rewards and info are the same on both" in said
    assert main(["doctor", "--parity", "--stage", "9-1"]) == 2
    assert "--stage: 9-1 is not allowed" in capsys.readouterr().err


def test_the_command_prints_what_an_operation_becomes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--opcode", "tax"]) == 0
    assert "nes_AA_TAX_implied" in capsys.readouterr().out
    assert main(["doctor", "--opcode", "XYZ"]) == 2
    assert "--opcode: XYZ is not allowed; must be one of ADC" in capsys.readouterr().err
