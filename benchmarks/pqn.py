"""The recipe's contrast: PQN's arrangement (Gallici et al. 2025, algorithm 1), without replay and target network.

    python benchmarks/pqn.py DIR [--seed 0] [--minutes 10] [KEY=VALUE ...]

N games play T agent steps each; Peng's Q(lambda) returns of these, computed backwards with the network as it is, are
learned in minibatches over a few passes, and everything is thrown away. Rewards, network and optimiser are the
recipe's. Writes `episodes.csv` and `metrics.csv` as training does, so that `benchmarks/minutes.py` reads it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mario_rl.agents.beside import Beside
from mario_rl.agents.compiled import to_blocks
from mario_rl.agents.losses import huber_loss, of_action
from mario_rl.agents.networks import build_network
from mario_rl.agents.optimizer import Adam, Rates
from mario_rl.agents.policy import BlocksPolicy, epsilon_greedy
from mario_rl.agents.schedules import exploration_exponents, linear
from mario_rl.agents.weights import Computing, FlatWeights
from mario_rl.config import Config, load_config
from mario_rl.devices import denormals_flushed, one_thread
from mario_rl.envs import make_games
from mario_rl.game.actions import action_bytes
from mario_rl.machine import computing_cores, keep_freed_memory
from mario_rl.runs.directory import RunDir
from mario_rl.runs.metrics import RunMetrics
from mario_rl.training.begin import begin, new_run_dir
from mario_rl.types import Pixels

CONFIG = Path(__file__).parents[1] / "configs" / "ddqn_right_only.yaml"
CPU = torch.device("cpu")


def lambda_returns(
    rewards: NDArray[np.float32],
    best_values: NDArray[np.float32],
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    *,
    gamma: float,
    trace: float,
) -> NDArray[np.float32]:
    """Compute Peng's Q(lambda) returns backwards (Gallici et al. 2025, equation 14).

    Args:
        rewards: float32 (T, N).
        best_values: float32 (T, N), max_a Q of what was seen *after* each step.
        terminated: bool (T, N); nothing follows.
        truncated: bool (T, N); `best_values` follows.
        gamma: discount.
        trace: lambda.

    Returns:
        float32 (T, N).
    """
    returns = np.empty_like(rewards)
    later = best_values[-1]
    for step in reversed(range(len(rewards))):
        mixed = trace * later + (1 - trace) * best_values[step]
        after = np.where(truncated[step], best_values[step], mixed)
        later = returns[step] = rewards[step] + gamma * np.where(terminated[step], 0.0, after)
    return returns


class Learner:
    """The recipe's network and Adam, without a target network."""

    def __init__(self, config: Config, num_actions: int) -> None:
        online = build_network(config.network, num_actions=num_actions, frame_stack=4, seed=config.seed)
        weights = FlatWeights(online)
        self.computing = Computing(weights, torch.bfloat16)
        self.optimizer = Adam(
            (weights, self.computing),
            None,
            None,
            epsilon=config.agent.adam_epsilon,
            gradient_clip=config.agent.gradient_clip,
            beside=Beside(None, CPU),
        )
        self.policy = BlocksPolicy(self.computing.evaluating(), CPU, torch.bfloat16)

    def learn(self, observation: Pixels, action: NDArray[np.int64], returns: NDArray[np.float32], rate: float) -> float:
        """Make one update; returns the loss."""
        blocks = to_blocks(torch.from_numpy(observation), None, torch.bfloat16)
        q_BAN = self.computing.network.quantiles(blocks)
        taken = of_action(q_BAN, torch.from_numpy(action))
        target = torch.from_numpy(returns).unsqueeze(1).expand(-1, 1)
        loss = huber_loss(taken, target, torch.ones(len(action)))
        gradients = torch.autograd.grad(loss, self.computing.parameters)
        self.optimizer.set_rates(Rates(rate, 0.0, 0.0))
        self.optimizer.move(gradients)
        return float(loss.detach())


def main() -> None:
    """Play and learn until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=32, help="Agent steps of each game before they are learned from.")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--trace", type=float, default=0.65, help="Lambda.")
    options = parser.parse_args()
    overrides = [
        "training.envs=64",
        "agent.batch_size=256",
        "agent.epsilon.decay_steps=150000",
        "network.quantiles=1",
        *options.overrides,
        f"seed={options.seed}",
    ]
    config = load_config(CONFIG, overrides)
    directory = new_run_dir(options.directory)
    begin(directory, config)
    keep_freed_memory()
    with denormals_flushed(), one_thread():
        play(config, directory, options)


def play(config: Config, run_dir: RunDir, options: argparse.Namespace) -> None:
    """Alternate between playing and learning."""
    games_count, steps, agent = config.training.envs, options.steps, config.agent
    num_actions = len(action_bytes(config.env.action_set))
    games = make_games(config.env, games_count, threads=computing_cores(), autoreset=True)
    for number in range(games_count):
        games.seed(number, options.seed * 10_000 + number)
        games.reset(number)
    learner = Learner(config, num_actions)
    metrics = RunMetrics(run_dir)
    random = np.random.default_rng(options.seed)
    exponents = exploration_exponents(games_count, agent.epsilon.spread)
    observation = np.empty((steps, games_count, 4, 84, 84), np.uint8)
    action = np.empty((steps, games_count), np.int64)
    reward = np.empty((steps, games_count), np.float32)
    terminated, truncated = np.empty((2, steps, games_count), np.bool_)
    best = np.empty((steps, games_count), np.float32)
    agent_steps = updates = episodes = 0
    began = time.perf_counter()
    while time.perf_counter() - began < 60 * options.minutes:
        epsilon = linear(
            agent.epsilon.start, agent.epsilon.end, decay_steps=agent.epsilon.decay_steps, steps=agent_steps
        )
        values = learner.policy.q_values(games.observations)
        for step in range(steps):
            observation[step] = games.observations
            action[step] = epsilon_greedy(values, epsilon**exponents, random)
            games.step(action[step])
            agent_steps += games_count
            reward[step], terminated[step], truncated[step] = games.rewards, games.terminated, games.truncated
            values = learner.policy.q_values(games.observations)
            best[step] = values.max(axis=1)
            cut = np.flatnonzero(truncated[step])
            if len(cut):
                best[step, cut] = learner.policy.q_values(games.final_observations[cut]).max(axis=1)
            for number in np.flatnonzero(terminated[step] | truncated[step]).tolist():
                result = games.result(number)
                episodes += 1
                metrics.episode(
                    {
                        "episode": episodes,
                        "agent_steps": agent_steps,
                        "seconds": time.perf_counter() - began,
                        "env": number,
                        **{name: getattr(result, name) for name in ("stage", "x", "length", "clock", "end")},
                        "return": result.return_,
                    }
                )
        returns = lambda_returns(reward, best, terminated, truncated, gamma=agent.gamma, trace=options.trace)
        observations, actions, targets = observation.reshape(-1, 4, 84, 84), action.reshape(-1), returns.reshape(-1)
        loss = 0.0
        for _ in range(options.passes):
            order = random.permutation(len(actions))
            for begin_at in range(0, len(order), agent.batch_size):
                chosen = order[begin_at : begin_at + agent.batch_size]
                loss = learner.learn(observations[chosen], actions[chosen], targets[chosen], agent.learning_rate)
                updates += 1
        seconds = time.perf_counter() - began
        metrics.interval(
            {
                "agent_steps": agent_steps,
                "updates": updates,
                "episodes": episodes,
                "seconds": seconds,
                "epsilon": epsilon,
                "loss": loss,
                "mean_q": float(best.mean()),
                "gradient_norm": None,
                "steps_per_second": agent_steps / seconds,
                "updates_per_second": updates / seconds,
                "mean_return": None,
                "mean_x": None,
                "clear_rate": None,
            }
        )
    metrics.close()
    games.close()


if __name__ == "__main__":
    main()
