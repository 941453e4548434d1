"""Which ROM is played: the one that is named, and what is said of one that can't be."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mario_rl.config import EnvConfig
from mario_rl.errors import UserError
from mario_rl.game import rom
from mario_rl.game.games import Games
from mario_rl.game.rom import find_rom, load_rom, stage_start, stage_target
from mario_rl.nes.cartridge import SUPER_MARIO_BROS_PAL


def test_the_config_comes_before_the_variable_and_that_before_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_rom(None).name == "super-mario-bros.nes"
    monkeypatch.setenv("MARIO_RL_ROM", "/somewhere/variable.nes")
    assert find_rom(None) == Path("/somewhere/variable.nes")
    assert find_rom("/somewhere/config.nes") == Path("/somewhere/config.nes")


def test_without_the_package_that_ships_one_a_rom_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rom, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^env\.rom: no ROM; install gym-super-mario-bros.*MARIO_RL_ROM$"):
        find_rom(None)


def test_the_rom_that_is_shipped_is_known_by_its_hash() -> None:
    assert load_rom(None).sha256 == SUPER_MARIO_BROS_PAL


def test_a_file_that_is_not_there_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.nes: the ROM can't be read \(No such file or directory\)$"):
        Games(EnvConfig(rom=str(tmp_path / "nothing.nes")), 1)


def test_a_rom_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "mario.nes"
    path.write_bytes(b"NES")
    with pytest.raises(UserError, match="not a ROM"):
        load_rom(str(path))
    path.unlink()
    shutil.copy(find_rom(None), path)
    assert load_rom(str(path)).sha256 == SUPER_MARIO_BROS_PAL


@pytest.mark.emulator
def test_a_copy_elsewhere_plays_the_same(tmp_path: Path) -> None:
    copied = tmp_path / "my own.nes"
    shutil.copy(find_rom(None), copied)
    shipped, other = Games(EnvConfig(), 1), Games(EnvConfig(rom=str(copied)), 1)
    for games in (shipped, other):
        games.seed(0, 4)
        games.reset(0)
        for action in [1, 4, 4, 2, 3] * 4:
            games.step([action])
    assert np.array_equal(shipped.observations, other.observations)
    assert shipped.ram(0).tobytes() == other.ram(0).tobytes()


@pytest.mark.emulator
def test_another_game_is_refused_because_no_stage_ever_begins(tmp_path: Path) -> None:
    program = bytearray(0x8000)
    program[0:3] = bytes([0x4C, 0x00, 0x80])  # JMP $8000, for ever
    program[0x7FFA:0x8000] = bytes([0x00, 0x80] * 3)
    path = tmp_path / "other.nes"
    path.write_bytes(b"NES\x1a" + bytes([2, 1, 1]) + bytes(9) + bytes(program) + bytes(0x2000))
    with pytest.raises(UserError, match=r"^env\.rom: 1-1 never begins, so the ROM [0-9a-f]{12}\.\.\. is another game$"):
        stage_start(load_rom(str(path)), "1-1")


def test_a_stage_is_written_to_memory_as_world_stage_and_area() -> None:
    assert stage_target("1-1") == 0x000000
    assert stage_target("1-2") == 0x000102  # before it Mario walks into a pipe by himself: an area more
    assert stage_target("3-2") == 0x020101
    assert stage_target("8-4") == 0x070303
    assert stage_target("game") == -1


def test_the_command_line_refuses_a_bad_rom_with_exit_code_2(tmp_path: Path, mario_rl_command: list[str]) -> None:
    (tmp_path / "bad.nes").write_bytes(b"no ROM at all, whatever its name says")
    (tmp_path / "c.yaml").write_text(f"env: {{rom: {tmp_path / 'bad.nes'}}}\n")
    command = [*mario_rl_command, "train", str(tmp_path / "c.yaml"), "--run-dir", str(tmp_path / "run")]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("bad.nes: not a ROM, an iNES file begins with NES and 0x1A")
    assert "Traceback" not in refused.stderr


def test_the_environments_are_imported_without_torch_numba_or_another_emulator() -> None:
    program = (
        "import sys, mario_rl.envs\n"
        "env = mario_rl.envs.MarioEnv()\n"
        "env.reset(seed=0)\n"
        "env.step(1)\n"
        "print(sorted({'torch', 'numba', 'nes_py', 'gym_super_mario_bros'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
