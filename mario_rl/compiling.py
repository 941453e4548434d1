"""Compiled functions: made of Python by Numba once per machine, kept as machine code in a file, loaded in milliseconds.

A kernel is a function of int64 to int64 that a `Library` names by the module it is in. The modules with the kernels
import Numba; this one does not, and a library whose file is there is loaded without it. Files are named after what they
were made from, sources and versions and processor, so an old one is never loaded by mistake, and one that is damaged is
made anew. Of many processes that need it one compiles, the others wait.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from mario_rl.errors import StorageError
from mario_rl.files import write_atomically
from mario_rl.streams import SCREEN

PACKAGE = Path(__file__).parent
FOLDER_VARIABLE = "MARIO_RL_CACHE"
MAGIC = b"mario_rl kernels 1\n"
DIGEST_BYTES = 32  # of SHA-256

COMPILING = "compiling the emulator, once: about 30 s"
COMPILING_SECONDS = 600
"""How long is waited for another process to compile, which takes half a minute; after that, one does it oneself."""

PROVIDED = {"memmove", "memcpy", "memset"}
"""What compiled code may call of the C library."""

type Objects = dict[str, tuple[int, bytes]]
"""By kernel: its number of arguments, and an object file that has its function under the kernel's name."""


class Library(Mapping[str, Callable[..., int]]):
    """Kernels by name; the first use loads all of them, or compiles them.

    Args:
        name: of its file.
        kernels: the module each is in, under the name of the function.
        packages: folders of this package that have sources of theirs.
        quick: whether compiling it takes so little that nobody needs to be told.
    """

    def __init__(
        self, name: str, kernels: Mapping[str, str], *, packages: tuple[str, ...], quick: bool = False
    ) -> None:
        self._name, self._kernels, self._packages, self._quick = name, dict(kernels), packages, quick
        self._addresses: dict[str, tuple[int, int]] = {}
        self._lock = threading.RLock()

    def __getitem__(self, kernel: str) -> Callable[..., int]:
        """Return a kernel as a function of Python integers; a call lets go of the interpreter lock."""
        return self._functions[kernel]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kernels)

    def __len__(self) -> int:
        return len(self._kernels)

    def address(self, kernel: str) -> int:
        """Return where a kernel lies, for other kernels to call it."""
        return self._loaded[kernel][0]

    def load(self) -> None:
        """Load all kernels, or compile them, now rather than at their first use."""
        _ = self._loaded

    @property
    def file_name(self) -> str:
        """Name the file after everything that what is in it depends on."""
        digest = hashlib.sha256(Path(__file__).read_bytes())
        for package in self._packages:
            for source in sorted((PACKAGE / package).glob("*.py")):
                digest.update(source.name.encode() + source.read_bytes())
        features = sorted(name for name, there in llvm.get_host_cpu_features().items() if there)
        made_with = [sys.version_info[:2], version("numba"), version("llvmlite"), llvm.get_process_triple()]
        digest.update(json.dumps([made_with, llvm.get_host_cpu_name(), features, self._kernels]).encode())
        return f"{self._name}-{digest.hexdigest()[:24]}.kernels"

    @property
    def kept_in(self) -> Path | None:
        """The file it lies in; None where none could be written."""
        found = (folder / self.file_name for folder in folders())
        return next((path for path in found if path.is_file()), None)

    def compile_here(self) -> Objects:
        """Compile all kernels in this process."""
        return {kernel: compile_kernel(module, kernel) for kernel, module in self._kernels.items()}

    @cached_property
    def _functions(self) -> dict[str, Callable[..., int]]:
        return {kernel: _as_function(address, count) for kernel, (address, count) in self._loaded.items()}

    @property
    def _loaded(self) -> dict[str, tuple[int, int]]:
        """Address and number of arguments of each kernel."""
        with self._lock:  # threads may come at once
            if not self._addresses:
                objects = self._read_any() or self._make()
                self._engine = _engine()
                for _, code in objects.values():
                    self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
                self._engine.finalize_object()
                self._addresses = {
                    kernel: (int(self._engine.get_function_address(kernel)), count)
                    for kernel, (count, _) in objects.items()
                }
        return self._addresses

    def _read_any(self) -> Objects | None:
        found = (self._read(folder / self.file_name) for folder in folders())
        return next((objects for objects in found if objects is not None), None)

    def _read(self, path: Path) -> Objects | None:
        """Read a file of machine code; None if there is none or it is not whole."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        begin = len(MAGIC) + DIGEST_BYTES
        if content[: len(MAGIC)] != MAGIC or hashlib.sha256(content[begin:]).digest() != content[len(MAGIC) : begin]:
            return None
        header, _, code = content[begin:].partition(b"\n")
        objects, place = {}, 0
        for kernel, (count, size) in json.loads(header).items():
            objects[kernel] = count, code[place : place + size]
            place += size
        return objects if objects.keys() == self._kernels.keys() else None

    def _write(self, objects: Objects, path: Path) -> None:
        sizes = {kernel: (count, len(code)) for kernel, (count, code) in objects.items()}
        content = b"\n".join([json.dumps(sizes).encode(), b"".join(code for _, code in objects.values())])
        write_atomically(path, lambda partial: partial.write_bytes(MAGIC + hashlib.sha256(content).digest() + content))

    def _make(self) -> Objects:
        """Compile, and keep the result in the first folder that can be written; or wait for who compiles already."""
        for folder in folders():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with _turn(folder / f"{self._name}.lock"):
                    objects = self._read_any()
                    if objects is None:
                        if not self._quick:
                            say_once(COMPILING)
                        objects = self.compile_here()
                        self._keep(objects, folder)
                    return objects
            except OSError:  # not a folder to write in, or who compiles never comes to an end (Timeout)
                continue
        if not self._quick:
            say_once(
                f"compiling the emulator, about 30 s: no folder can be written to keep it, {FOLDER_VARIABLE} may name "
                "one"
            )
        return self.compile_here()

    def _keep(self, objects: Objects, folder: Path) -> None:
        """Write the file; a disk that is full costs the next start, not this one."""
        try:
            self._write(objects, folder / self.file_name)
            self._remove_old(folder)
        except (StorageError, OSError) as error:
            say_once(f"the compiled emulator could not be kept, the next start compiles it again ({error})")

    def _remove_old(self, folder: Path) -> None:
        """Keep the few newest files: other versions and processors may share the folder."""
        made = sorted(folder.glob(f"{self._name}-*.kernels"), key=lambda path: path.stat().st_mtime)
        for old in made[:-4]:
            old.unlink(missing_ok=True)


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    """Wait until nobody else compiles for this folder.

    Raises:
        Timeout: that takes too long.
    """
    try:
        held = FileLock(lock).acquire(timeout=1)
    except Timeout:
        say_once("waiting for another process that compiles the emulator")
        held = FileLock(lock).acquire(timeout=COMPILING_SECONDS)
    with held:
        yield


def compile_kernel(module: str, kernel: str) -> tuple[int, bytes]:
    """Compile one function of int64 to int64: its number of arguments, and an object file that has it by its name.

    Raises:
        RuntimeError: the code needs more than itself, which a file can't keep: it could raise an exception, say.
    """
    from numba import njit, types  # here, since a library that is there needs no Numba

    function = getattr(importlib.import_module(module), kernel)
    count = function.__code__.co_argcount
    arguments = (types.int64,) * count
    options = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled = njit(types.int64(*arguments), **options)(function)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    native = compiled.overloads[arguments].fndesc.llvm_func_name
    code = llvm.parse_assembly(compiled.inspect_llvm(arguments) + _entry(kernel, native, count))
    for other in code.functions:
        if not other.is_declaration and other.name != kernel:
            other.linkage = "internal"
    machine = _target_machine()
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(code, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    foreign = {f.name for f in code.functions if f.is_declaration and not f.name.startswith("llvm.")} - PROVIDED
    if foreign:
        raise RuntimeError(f"{module}.{kernel} can't be kept: it needs {', '.join(sorted(foreign))}")
    return count, bytes(machine.emit_object(code))


def _entry(kernel: str, native: str, count: int) -> str:
    """Write the function that outsiders call: Numba's own also takes places for a result and for an exception."""
    given = ", ".join(f"i64 %a{number}" for number in range(count))
    return f"""
define i64 @{kernel}({given}) {{
  %result = alloca i64
  %exception = alloca ptr
  %status = call i32 @"{native}"(ptr %result, ptr %exception, {given})
  %value = load i64, ptr %result
  ret i64 %value
}}
"""


def folders() -> list[Path]:
    """Where machine code is kept, in the order of preference."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return [Path(chosen)] if chosen else [PACKAGE / "__pycache__", user_cache_path("mario_rl", appauthor=False)]


def can_be_kept() -> bool:
    """Whether there is a folder to keep machine code in; it is made if need be."""
    for folder in folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return True
    return False


def _target_machine() -> llvm.TargetMachine:
    features = llvm.get_host_cpu_features().flatten()
    triple = llvm.get_process_triple()
    target = llvm.Target.from_triple(triple)
    relocation = "static" if triple.startswith("x86_64") else "default"  # as Numba's own
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, reloc=relocation, codemodel="jitdefault", jit=True
    )


def _engine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())


def _as_function(address: int, count: int) -> Callable[..., int]:
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)(address)


_said: set[str] = set()


def say_once(message: str) -> None:
    """Write a line, once: several libraries are one emulator."""
    if message in _said:
        return
    _said.add(message)
    SCREEN.write(f"{message}\n")
    SCREEN.flush()
