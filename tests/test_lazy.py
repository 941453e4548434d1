"""Packages import what is asked for and no more: what needs no PyTorch doesn't load it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mario_rl.evaluation
import mario_rl.replay
import mario_rl.training


@pytest.mark.parametrize("package", [mario_rl.evaluation, mario_rl.replay, mario_rl.training])
def test_every_name_that_a_package_offers_is_there(package):
    assert all(getattr(package, name) is not None for name in package.__all__)


def test_a_name_that_a_package_does_not_have_is_refused_in_pythons_words():
    with pytest.raises(AttributeError, match=r"^module 'mario_rl\.replay' has no attribute 'Memory'$"):
        _ = mario_rl.replay.Memory


def test_what_needs_no_torch_loads_none():
    code = """
import sys
import mario_rl.cards, mario_rl.cli
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.replay.memory import check_memory
from mario_rl.training import Interrupts
print("torch" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout == "False\n"
