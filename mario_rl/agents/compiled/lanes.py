"""LLVM code for many numbers side by side, as the vector units of a processor take them."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

FLOAT, I8, I16, I32, I64 = ir.FloatType(), *(ir.IntType(bits) for bits in (8, 16, 32, 64))


class Lanes:
    """LLVM code for some numbers side by side."""

    def __init__(self, builder: Any, width: int) -> None:
        self.builder, self.width = builder, width

    def kind(self, of: ir.Type) -> ir.Type:
        """The type of all of them."""
        return ir.VectorType(of, self.width)

    def load(self, address: Any, of: ir.Type = FLOAT) -> Any:
        """Read them, one behind the other."""
        return self.builder.load(self.builder.inttoptr(address, self.kind(of).as_pointer()), align=1)

    def store(self, value: Any, address: Any) -> None:
        """Write them, one behind the other."""
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=1)

    def all(self, value: Any) -> Any:
        """The same number in each place."""
        vector = ir.Constant(self.kind(value.type), ir.Undefined)
        for place in range(self.width):
            vector = self.builder.insert_element(vector, value, ir.Constant(I32, place))
        return vector

    def constant(self, of: ir.Type, value: float) -> Any:
        """The same constant in each place."""
        return ir.Constant(self.kind(of), [value] * self.width)

    def root(self, value: Any) -> Any:
        """The square root of each."""
        name = f"llvm.sqrt.v{self.width}f32"
        function = self.builder.module.globals.get(name)
        if function is None:
            function = ir.Function(self.builder.module, ir.FunctionType(value.type, [value.type]), name)
        return self.builder.call(function, [value])

    def widened(self, bfloat16: Any) -> Any:
        """Bfloat16, as the bits it is, to float32."""
        wide = self.builder.zext(bfloat16, self.kind(I32))
        return self.builder.bitcast(self.builder.shl(wide, self.constant(I32, 16)), self.kind(FLOAT))

    def rounded(self, value: Any) -> Any:
        """Float32 to the nearest bfloat16, ties to even, as bits; what is no number stays none."""
        b = self.builder
        bits = b.bitcast(value, self.kind(I32))
        odd = b.and_(b.lshr(bits, self.constant(I32, 16)), self.constant(I32, 1))
        nearest = b.lshr(b.add(bits, b.add(odd, self.constant(I32, 0x7FFF))), self.constant(I32, 16))
        none = b.fcmp_unordered("uno", value, value)
        return b.trunc(b.select(none, self.constant(I32, 0x7FC0), nearest), self.kind(I16))

    def load_number(self, address: Any, place: Any, *, wide: bool) -> Any:
        """Read them as float32 from where float32 or bfloat16 numbers lie, from number `place` on."""
        if wide:
            return self.load(self._at(address, place, 4))
        return self.widened(self.load(self._at(address, place, 2), I16))

    def store_number(self, value: Any, address: Any, place: Any, *, wide: bool) -> None:
        """Write float32 numbers as such, or to the nearest bfloat16."""
        if wide:
            self.store(value, self._at(address, place, 4))
        else:
            self.store(self.rounded(value), self._at(address, place, 2))

    def total(self, value: Any) -> Any:
        """The sum of all, always in the same order."""
        number = self.builder.extract_element(value, ir.Constant(I32, 0))
        for place in range(1, self.width):
            number = self.builder.fadd(number, self.builder.extract_element(value, ir.Constant(I32, place)))
        return number

    def _at(self, address: Any, place: Any, size: int) -> Any:
        return self.builder.add(address, self.builder.mul(place, ir.Constant(I64, size)))
