"""Compiled functions: compiled once, then loaded; damaged, unwritable and contended files are no obstacle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from mario_rl import compiling
from mario_rl.compiling import FOLDER_VARIABLE, Library
from mario_rl.errors import StorageError

KERNEL = "reset_machine"  # one of the emulator's; it writes to memory that ctypes gives it
USE_IT = f"""
import ctypes, sys
from mario_rl.compiling import Library
from mario_rl.nes import layout

library = Library("a test", {{"{KERNEL}": "mario_rl.nes.frame"}}, packages=("nes",))
row, rom = ctypes.create_string_buffer(layout.CARTRIDGE_RAM), ctypes.create_string_buffer(0x10000)
rom[0xFFFD] = 0x80
assert library["{KERNEL}"](ctypes.addressof(row), ctypes.addressof(rom)) == 0
pc = row.raw[layout.PC : layout.PC + 8]
print(int.from_bytes(pc, "little"), "numba" in sys.modules)
"""
USE_TINY = """
import sys
from mario_rl.compiling import Library

library = Library("a test", {"add": "tiny_kernel"}, packages=("nes",))
print(library["add"](30_000, 2_768), "numba" in sys.modules)
"""
COMPILED, LOADED = "32768 True\n", "32768 False\n"  # also the address where the emulator's execution begins


def library(**kernels: str) -> Library:
    return Library("a test", kernels or {KERNEL: "mario_rl.nes.frame"}, packages=("nes",))


def tiny() -> Library:
    return library(add="tiny_kernel")


def start(folder: Path, code: str = USE_TINY) -> subprocess.Popen[str]:
    """A process that uses a library; it prints what its kernel came to, and whether Numba was imported."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {FOLDER_VARIABLE: str(folder), "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def use(folder: Path, code: str = USE_TINY) -> tuple[str, str]:
    """What a process that uses a library prints, and what it says on the error output."""
    output, messages = (process := start(folder, code)).communicate(timeout=120)
    assert process.returncode == 0, messages
    return output, messages


def the_file(folder: Path) -> Path:
    (path,) = folder.glob("*.kernels")
    return path


def test_the_first_process_compiles_and_says_so_and_the_next_one_loads_without_numba(tmp_path: Path) -> None:
    output, messages = use(tmp_path, USE_IT)
    assert output == COMPILED
    assert messages.startswith("compiling the emulator, once")
    assert messages.count("\n") == 1
    assert the_file(tmp_path).name == library().file_name
    assert use(tmp_path, USE_IT) == (LOADED, "")


def test_the_file_is_named_after_the_kernels(tmp_path: Path) -> None:
    other = library(**{KERNEL: "mario_rl.nes.frame", "play_frame": "mario_rl.nes.frame"})
    assert other.file_name != library().file_name
    assert list(other) == [KERNEL, "play_frame"]
    assert len(other) == 2


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    use(tmp_path)
    path = the_file(tmp_path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], whole[:middle]):
        path.write_bytes(damaged)
        output, messages = use(tmp_path)
        assert output == COMPILED
        assert "compiling" in messages
        assert len(path.read_bytes()) == len(whole)
    assert use(tmp_path) == (LOADED, "")


def test_a_folder_that_cannot_be_made_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    output, messages = use(tmp_path / "file" / "kernels")
    assert output == COMPILED
    assert "no folder can be written" in messages
    assert FOLDER_VARIABLE in messages


def test_of_processes_that_begin_at_once_one_compiles_and_the_others_load(tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(3)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert sorted(output for output, _ in answers) == sorted([COMPILED, LOADED, LOADED])
    assert sum("compiling" in messages for _, messages in answers) == 1


def test_a_process_that_compiles_for_ever_is_waited_for_with_a_word_and_not_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(compiling, "COMPILING_SECONDS", 0.1)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    library = tiny()
    with FileLock(tmp_path / "a test.lock"):
        assert library["add"](30_000, 2_768) == 32_768
    assert "waiting for another process that compiles the emulator" in capsys.readouterr().err


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    now = time.time()
    for age in range(6):
        old = tmp_path / f"a test-{age}.kernels"
        old.write_bytes(b"")
        os.utime(old, (now - 1000 * (age + 1),) * 2)
    (tmp_path / "another-0.kernels").write_bytes(b"")
    use(tmp_path)
    kept = {path.name for path in tmp_path.glob("*.kernels")}
    assert kept == {
        tiny().file_name,
        "a test-0.kernels",
        "a test-1.kernels",
        "a test-2.kernels",
        "another-0.kernels",
    }


def test_a_full_disk_costs_the_next_start_and_not_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, write: object) -> None:
        raise StorageError(f"{path}: could not be written (No space left on device)")

    monkeypatch.setenv("MARIO_RL_CACHE", str(tmp_path))
    monkeypatch.setattr(compiling, "write_atomically", full)
    library = tiny()
    assert library.address("add") > 0
    assert library.kept_in is None
    assert "could not be kept, the next start compiles it again" in capsys.readouterr().err
