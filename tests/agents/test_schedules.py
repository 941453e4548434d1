"""Epsilon and the learning rate as functions of a counter."""

from mario_rl.agents.schedules import linear, multiplicative


def test_linear_decay_by_hand():
    assert [linear(1.0, 0.2, decay_steps=4, steps=s) for s in (0, 1, 2, 4, 9)] == [1.0, 0.8, 0.6, 0.2, 0.2]


def test_multiplicative_decay_by_hand():
    assert [multiplicative(1.0, 0.2, factor=0.5, count=c) for c in (0, 1, 2, 3)] == [1.0, 0.5, 0.25, 0.2]
