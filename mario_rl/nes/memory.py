"""Loads, stores and calls at an address, for compiled code: one machine instruction each, nothing is checked.

An address is an int64, `array.ctypes.data` for instance. Whoever passes it sees to it that the memory lives and is long
enough. Any alignment will do; words lie as the machine has them, and the drawing takes that to be little-endian.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))

_KINDS = {
    "int": types.int64,
    "float": types.float64,
    "bool": types.boolean,
    "np.uint64": types.uint64,
    "None": types.void,
}


def helper(function: Callable[..., Any]) -> Any:
    """Compile a function for other compiled ones, with the types that its annotations name; those it calls come first.

    Left to itself, Numba would compile it once more for each constant that it is called with, and for Python to call.
    """
    kinds = [_KINDS[name] for name in function.__annotations__.values()]
    options = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "no_rewrites": True}
    return njit(kinds[-1](*kinds[:-1]), **options)(function)


def _loader(stored: ir.Type, loaded: types.Type, extend: str | None) -> Any:
    """Make an intrinsic that reads a value of one type and returns it as another, as wide or wider."""

    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = builder.inttoptr(arguments[0], stored.as_pointer())
            value = builder.load(place, align=1)
            return value if extend is None else getattr(builder, extend)(value, context.get_value_type(loaded))

        return loaded(types.int64), code

    return load


def _storer(stored: ir.Type, given: types.Type) -> Any:
    """Make an intrinsic that writes the low bits of a value."""

    @intrinsic
    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            place = builder.inttoptr(arguments[0], stored.as_pointer())
            value = arguments[1]
            builder.store(value if value.type == stored else builder.trunc(value, stored), place, align=1)
            return context.get_dummy_value()

        return types.void(types.int64, given), code

    return store


load8 = _loader(I8, types.int64, "zext")
"""load8(address) -> int64: a byte, 0..255."""
load16 = _loader(I16, types.int64, "zext")
load32 = _loader(I32, types.int64, "zext")
"""load32(address) -> int64: four bytes, unsigned."""
load64 = _loader(I64, types.int64, None)
"""load64(address) -> int64."""
load_word = _loader(I64, types.uint64, None)
"""load_word(address) -> uint64: eight pixels, the leftmost in the low byte."""
load_float32 = _loader(ir.FloatType(), types.float32, None)
load_float64 = _loader(ir.DoubleType(), types.float64, None)
store8 = _storer(I8, types.int64)
"""store8(address, int64): its low byte."""
store16 = _storer(I16, types.int64)
store32 = _storer(I32, types.int64)
store64 = _storer(I64, types.int64)
store_word = _storer(I64, types.uint64)
"""store_word(address, uint64): eight pixels."""
store_float32 = _storer(ir.FloatType(), types.float32)
store_float64 = _storer(ir.DoubleType(), types.float64)


def _caller(num_arguments: int) -> Any:
    """Make an intrinsic that calls a compiled function, all int64, at an address."""
    kind = ir.FunctionType(I64, [I64] * num_arguments)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])

    return types.int64(*[types.int64] * (num_arguments + 1)), code


@intrinsic
def call2(typing_context: Any, function: Any, first: Any, second: Any) -> Any:
    """Call the compiled function (int64, int64) -> int64 at an address; it is not compiled into the caller."""
    return _caller(2)


@intrinsic
def call3(typing_context: Any, function: Any, first: Any, second: Any, third: Any) -> Any:
    """Call the compiled function of three int64 to int64 at an address."""
    return _caller(3)


@intrinsic
def call4(typing_context: Any, function: Any, first: Any, second: Any, third: Any, fourth: Any) -> Any:
    """Call the compiled function of four int64 to int64 at an address."""
    return _caller(4)


@intrinsic
def call5(typing_context: Any, function: Any, first: Any, second: Any, third: Any, fourth: Any, fifth: Any) -> Any:
    """Call the compiled function of five int64 to int64 at an address."""
    return _caller(5)


@intrinsic
def call6(
    typing_context: Any, function: Any, first: Any, second: Any, third: Any, fourth: Any, fifth: Any, sixth: Any
) -> Any:
    """Call the compiled function of six int64 to int64 at an address."""
    return _caller(6)


@intrinsic
def copy(typing_context: Any, target: Any, source: Any, size: Any) -> Any:
    """Copy so many bytes; the two places may overlap."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = I8.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, pointer, I64, ir.IntType(1)])
        move = builder.module.declare_intrinsic("llvm.memmove", [pointer, pointer, I64], kind)
        target, source, size = arguments
        places = [builder.inttoptr(place, pointer) for place in (target, source)]
        builder.call(move, [*places, size, ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


@intrinsic
def fill(typing_context: Any, target: Any, value: Any, size: Any) -> Any:
    """Set so many bytes to a value."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = I8.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, I8, I64, ir.IntType(1)])
        function = builder.module.declare_intrinsic("llvm.memset", [pointer, I64], kind)
        target, value, size = arguments
        place = builder.inttoptr(target, pointer)
        builder.call(function, [place, builder.trunc(value, I8), size, ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


@intrinsic
def atomic_add(typing_context: Any, address: Any, value: Any) -> Any:
    """Add to the int64 at an address, in one step for all threads; returns what it was."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], I64.as_pointer())
        return builder.atomic_rmw("add", place, arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), code


@intrinsic
def atomic_load(typing_context: Any, address: Any) -> Any:
    """Read the int64 at an address as another thread has written it."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], I64.as_pointer())
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(types.int64), code


@intrinsic
def atomic_store(typing_context: Any, address: Any, value: Any) -> Any:
    """Write the int64 at an address for other threads to see, after all that was written before."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], I64.as_pointer())
        builder.store_atomic(arguments[1], place, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


@intrinsic
def atomic_replace(typing_context: Any, address: Any, expected: Any, value: Any) -> Any:
    """Write the int64 at an address if it is still what is expected; returns whether it was."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], I64.as_pointer())
        pair = builder.cmpxchg(place, arguments[1], arguments[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), code


@intrinsic
def pause(typing_context: Any) -> Any:
    """Tell the processor that this is a loop that waits, where it can be told; another thread may share its core."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if builder.module.triple.startswith("x86_64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def draw_double(typing_context: Any, function: Any, state: Any) -> Any:
    """Call a NumPy bit generator's `next_double` at an address with its state: float64 in [0, 1)."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.DoubleType(), [I64])
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])

    return types.float64(types.int64, types.int64), code


@intrinsic
def draw_uint32(typing_context: Any, function: Any, state: Any) -> Any:
    """Call a NumPy bit generator's `next_uint32` at an address with its state."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(I32, [I64])
        drawn = builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return builder.zext(drawn, I64)

    return types.int64(types.int64, types.int64), code


@intrinsic
def apart(typing_context: Any) -> Any:
    """Keep the function that says this out of its callers, which would otherwise each have a copy: for what is long."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def mirrored(typing_context: Any, pixels: Any) -> Any:
    """Turn a word of eight pixels round."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.uint64(types.uint64), code


@intrinsic
def store_words(typing_context: Any, address: Any, first: Any, second: Any) -> Any:
    """Write two words, uint64, one behind the other, at once."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pair = ir.Constant(ir.VectorType(I64, 2), ir.Undefined)
        for number, word in enumerate(arguments[1:]):
            pair = builder.insert_element(pair, word, ir.Constant(I32, number))
        builder.store(pair, builder.inttoptr(arguments[0], pair.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.uint64, types.uint64), code
