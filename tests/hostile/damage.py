"""Damage as disks, networks and people do it: to bytes, and to single values inside files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from hypothesis import strategies as st


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut, flip, blank, splice, repeat or lengthen: one to three times."""
    for _ in range(draw(st.integers(1, 3))):
        size = len(content)
        begin = draw(st.integers(0, size))
        end = min(size, begin + draw(st.sampled_from([1, 2, 8, 80, 1_000, size])))
        match draw(st.sampled_from(["cut", "flip", "blank", "splice", "repeat", "lengthen"])):
            case "cut":
                content = content[:begin]
            case "flip" if begin < size:
                changed = bytearray(content)
                changed[begin] ^= 1 << draw(st.integers(0, 7))
                content = bytes(changed)
            case "blank":
                content = content[:begin] + bytes(end - begin) + content[end:]
            case "splice":
                place = draw(st.integers(0, size))
                content = content[:place] + content[begin:end] + content[place + end - begin :]
            case "repeat":
                content = content[:end] + content[begin:end] + content[end:]
            case "lengthen":
                content += draw(st.binary(min_size=1, max_size=64))
    return content


numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([1 << 31, 1 << 53, 1 << 63, -(1 << 63), 10**40]),
    st.floats(),
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.text(max_size=8),
    st.lists(numbers, max_size=3),
    st.just({}),
    st.just({"a": 1}),
)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Tensors of all kinds, some of them not what they seem."""
    dtype = draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]))
    tensor = torch.ones(draw(st.lists(st.integers(0, 3), max_size=3)), dtype=dtype)
    match draw(st.sampled_from(["as it is", "a view", "not finite"])):
        case "a view":
            return torch.ones(1, dtype=dtype).expand(1 << 40)
        case "not finite" if tensor.is_floating_point():
            return tensor.fill_(float("nan"))
    return tensor


values = st.one_of(plain, tensors())


def places(tree: dict[Any, Any] | list[Any], path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List the path to every value, mappings and lists included."""
    for key, value in list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def replaced(tree: Any, path: tuple[Any, ...], value: object) -> Any:
    """Copy nested values with another in one place; `...` takes away what is there."""
    first, *others = path
    new = value if not others else replaced(tree[first], tuple(others), value)
    if isinstance(tree, list):
        return [*tree[:first], *([] if new is ... else [new]), *tree[first + 1 :]]
    kept = {key: one for key, one in tree.items() if key != first or new is not ...}
    return kept if new is ... else {**kept, first: new}


def same(one: Any, other: Any) -> bool:
    """Whether nested values are equal, tensors to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
