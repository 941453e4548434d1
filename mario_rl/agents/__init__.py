"""Agents: `losses` has the mathematics, `policy` turns values into actions, `q_agent` learns."""

from mario_rl.agents.policy import NetworkPolicy, epsilon_greedy
from mario_rl.agents.q_agent import LearnStats, QAgent

__all__ = ["LearnStats", "NetworkPolicy", "QAgent", "epsilon_greedy"]
