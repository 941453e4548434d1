"""Agents: `losses` has the mathematics, `policy` turns values into actions, `agent` learns."""

from mario_rl.agents.agent import LearnStats, QAgent
from mario_rl.agents.policy import ActingPolicy, NetworkPolicy, epsilon_greedy

__all__ = ["ActingPolicy", "LearnStats", "NetworkPolicy", "QAgent", "epsilon_greedy"]
