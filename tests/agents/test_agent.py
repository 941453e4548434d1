"""The agent: exploration, target network updates, gradient clipping, save and restore, and that it learns."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from mario_rl.agents import NetworkPolicy, QAgent, epsilon_greedy
from mario_rl.agents.networks import build_network
from mario_rl.agents.optimizer import BETA_1
from mario_rl.config import AgentConfig, EpsilonConfig, NetworkConfig
from mario_rl.devices import denormals_flushed
from mario_rl.types import Batch

CPU = torch.device("cpu")
HIDDEN_WEIGHT = 6  # number among the parameters: three convolutions have two each


def make_agent(
    *,
    dropout: float = 0.0,
    layer_norm: bool = False,
    cores: int | None = None,
    demonstrated: bool = False,
    **settings,
) -> QAgent:
    return QAgent(
        AgentConfig(**settings),
        NetworkConfig(hidden_size=16, dropout=dropout, layer_norm=layer_norm),
        num_actions=3,
        frame_stack=4,
        seed=1,
        device=CPU,
        demonstrated=demonstrated,
        cores=cores,
    )


def make_batch(size: int = 4, seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    return Batch(
        observation=torch.randint(0, 256, (size, 4, 84, 84), dtype=torch.uint8, generator=random),
        action=torch.randint(0, 3, (size,), generator=random),
        n_step_return=torch.rand(size, generator=random),
        next_observation=torch.randint(0, 256, (size, 4, 84, 84), dtype=torch.uint8, generator=random),
        terminated=torch.zeros(size, dtype=torch.bool),
        discount=torch.full((size,), 0.9),
        weight=torch.ones(size),
        slot=torch.zeros(size, 2, dtype=torch.int64),
        demonstration=torch.zeros(size, dtype=torch.bool),
    )


def gradient_of_first(agent: QAgent) -> torch.Tensor:
    """The gradient, after clipping, of an agent's only update: Adam's first moment is a tenth of it."""
    assert agent.updates == 1
    return agent.optimizer.first_moment / (1 - BETA_1)


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_moments_that_fade_to_nothing_are_zero_and_the_weights_come_out_the_same():
    """Of a hidden unit that is never active: its gradients are zero, and its moments have shrunk for 800 updates."""
    moments, learned = [], []
    for flushed in (False, True):
        agent = make_agent(cores=1)  # a second core would keep what held when its thread began
        hidden = agent.online.action_head[0]
        with torch.no_grad():
            hidden.bias[7] = -100.0
        agent.learn(make_batch())
        moment = agent.optimizer.state_dict()["state"][HIDDEN_WEIGHT]["exp_avg"]
        moment[7] = 1e-39
        with denormals_flushed() if flushed else nullcontext():
            for seed in range(1, 4):
                agent.learn(make_batch(seed=seed))
        moments.append(moment[7].double().max().item())
        learned.append(weights(agent.online))
    assert moments == [pytest.approx(1e-39 * 0.9**3, rel=1e-3), 0.0]
    assert torch.equal(*learned)


def test_greedy_picks_the_best_action_and_full_exploration_any():
    q_values = np.tile(np.array([[0.0, 9.0, 1.0]], dtype=np.float32), (6000, 1))
    generator = np.random.default_rng(0)
    assert set(epsilon_greedy(q_values, 0.0, generator)) == {1}
    counts = np.bincount(epsilon_greedy(q_values, 1.0, generator), minlength=3)
    assert (abs(counts - 2000) < 200).all()


def test_epsilon_is_the_share_of_rows_that_explore():
    q_values = np.tile(np.array([[0.0, 9.0, 1.0]], dtype=np.float32), (10_000, 1))
    chosen = epsilon_greedy(q_values, 0.3, np.random.default_rng(0))
    assert (chosen != 1).mean() == pytest.approx(0.3 * 2 / 3, abs=0.02)  # a third of the random ones pick 1 as well


def test_epsilon_draws_the_same_amount_of_randomness_whatever_it_is():
    q_values = np.zeros((7, 3), dtype=np.float32)
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    epsilon_greedy(q_values, 0.0, one)
    epsilon_greedy(q_values, 1.0, other)
    assert one.random() == other.random()


@pytest.mark.parametrize(
    ("schedule", "moments"),
    [
        # agent_steps, episodes, updates -> epsilon
        ("linear", [(0, 9, 9, 1.0), (50, 9, 9, 0.6), (100, 9, 9, 0.2), (1000, 9, 9, 0.2)]),
        ("per_episode", [(9, 0, 9, 1.0), (9, 1, 9, 0.5), (9, 2, 9, 0.25), (9, 3, 9, 0.2)]),
        ("per_update", [(9, 9, 0, 1.0), (9, 9, 1, 0.5), (9, 9, 2, 0.25), (9, 9, 3, 0.2)]),
    ],
)
def test_the_three_epsilon_schedules(schedule, moments):
    agent = make_agent(epsilon=EpsilonConfig(schedule=schedule, start=1.0, end=0.2, decay_steps=100, decay_factor=0.5))
    for agent_steps, episodes, updates, expected in moments:
        agent.updates = updates
        assert agent.epsilon(agent_steps=agent_steps, episodes=episodes) == pytest.approx(expected)


def test_a_hard_update_copies_every_n_updates_and_only_then():
    agent = make_agent(sync_period_updates=3)
    initial = weights(agent.target)
    for _ in range(2):
        agent.learn(make_batch())
    assert torch.equal(weights(agent.target), initial)
    assert not torch.equal(weights(agent.online), initial)
    agent.learn(make_batch())
    assert torch.equal(weights(agent.target), weights(agent.online))


def test_a_soft_update_mixes_in_its_share_every_time():
    agent = make_agent(soft_update=0.25)
    initial = weights(agent.target)
    agent.learn(make_batch())
    assert torch.allclose(weights(agent.target), 0.75 * initial + 0.25 * weights(agent.online), atol=1e-7)


def test_the_average_is_the_plain_mean_of_the_first_updates_and_then_follows_by_its_share():
    agent = make_agent(averaging=0.4)
    online = []
    for seed in range(4):
        agent.learn(make_batch(seed=seed))
        online.append(weights(agent.online))
    mean_of_two = (online[0] + online[1]) / 2  # the third's share, 1/3, is less than 0.4
    expected = 0.6 * (0.6 * mean_of_two + 0.4 * online[2]) + 0.4 * online[3]
    assert torch.allclose(weights(agent.averaged), expected, atol=1e-7)


def test_the_average_changes_what_is_evaluated_and_not_what_is_learned():
    plain, averaging = make_agent(), make_agent(averaging=0.01)
    assert plain.averaged is plain.online
    assert plain.state_dict()["averaged"] is None
    for seed in range(3):
        plain.learn(make_batch(seed=seed))
        averaging.learn(make_batch(seed=seed))
    assert torch.equal(weights(averaging.online), weights(plain.online))
    assert not torch.equal(weights(averaging.averaged), weights(averaging.online))
    observation = make_batch().observation
    values = averaging.averaged_policy.q_values(observation.numpy())
    assert values == pytest.approx(averaging.averaged(observation.float() / 255).detach().numpy(), abs=1e-6)


def test_without_a_target_network_there_is_no_second_copy():
    agent = make_agent(target="none")
    assert agent.target is agent.online
    assert agent.state_dict()["target"] is None


def test_the_target_network_is_never_trained():
    agent = make_agent(target="double")
    agent.learn(make_batch())
    assert all(parameter.grad is None for parameter in agent.target.parameters())


def test_gradient_clipping_bounds_the_step_and_reports_the_norm_before():
    agent = make_agent(gradient_clip=1e-6)
    stats = agent.learn(make_batch())
    norm = torch.linalg.vector_norm(gradient_of_first(agent))
    assert norm.item() == pytest.approx(1e-6, rel=1e-3)
    assert stats.gradient_norm.item() > 1e-3


@pytest.mark.parametrize("target", ["none", "target", "double"])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_repeated_updates_on_one_terminal_batch_fit_its_rewards(target, bfloat16):
    agent = make_agent(target=target, learning_rate=1e-3, bfloat16=bfloat16)
    batch = make_batch()._replace(terminated=torch.ones(4, dtype=torch.bool))
    first = agent.learn(batch).loss.item()
    for _ in range(150):
        last = agent.learn(batch).loss.item()
    assert last < first / 20
    values = agent.acting_policy.q_values(batch.observation.numpy())
    taken = values[np.arange(4), batch.action.numpy()]
    assert taken == pytest.approx(batch.n_step_return.numpy(), abs=0.1)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_restored_agent_learns_on_exactly_like_the_one_that_was_saved(layer_norm):
    whole, stopped, resumed = (make_agent(dropout=0.1, averaging=0.5, layer_norm=layer_norm) for _ in range(3))

    def learn(agent: QAgent, batches: range) -> None:
        for seed in batches:
            torch.manual_seed(seed)  # dropout
            agent.learn(make_batch(seed=seed))

    learn(whole, range(6))
    learn(stopped, range(3))
    resumed.load_state_dict(stopped.state_dict())
    learn(resumed, range(3, 6))
    assert resumed.updates == whole.updates == 6
    assert torch.equal(weights(resumed.online), weights(whole.online))
    assert torch.equal(weights(resumed.target), weights(whole.target))
    assert torch.equal(weights(resumed.averaged), weights(whole.averaged))


@pytest.mark.parametrize("target", ["none", "target", "double"])
def test_bfloat16_gives_every_weight_nearly_the_gradient_of_float32(target):
    gradients = []
    for bfloat16 in (False, True):
        agent = make_agent(target=target, bfloat16=bfloat16, gradient_clip=None)
        agent.learn(make_batch())
        gradients.append(gradient_of_first(agent).split([one.numel() for one in agent.online.parameters()]))
    for exact, rounded in zip(*gradients, strict=True):
        assert torch.nn.functional.cosine_similarity(exact, rounded, dim=0) > 0.97


@pytest.mark.parametrize("target", ["none", "target", "double"])
def test_the_target_is_computed_without_dropout(target):
    agent, batch = make_agent(target=target, dropout=0.5, learning_rate=1e-30), make_batch()
    agent.learn(batch)
    torch.manual_seed(3)
    loss = agent.learn(batch).loss.item()
    # By hand: of s the same units dropped, of s' none.
    torch.manual_seed(3)
    q_BA = agent.online.train()(batch.observation.float() / 255)
    with torch.no_grad():
        value_B = agent.online.eval()(batch.next_observation.float() / 255).amax(dim=1)
    taken_B = q_BA.gather(1, batch.action[:, None])[:, 0]
    by_hand = torch.nn.functional.huber_loss(taken_B, batch.n_step_return + 0.9 * value_B)
    assert loss == pytest.approx(by_hand.item(), rel=1e-5)


@pytest.mark.parametrize("averaging", [None, 0.5])
def test_what_is_evaluated_is_valued_in_float32_and_without_dropout_even_after_learning(averaging):
    agent = make_agent(dropout=0.5, bfloat16=True, averaging=averaging)
    batch = make_batch()
    agent.learn(batch)
    values = agent.averaged_policy.q_values(batch.observation.numpy())
    assert values.dtype == np.float32
    by_hand = agent.averaged.eval()(batch.observation.float() / 255).detach().numpy()
    assert values == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_acting_while_learning_values_as_the_updates_do_and_without_dropout(bfloat16):
    agent = make_agent(dropout=0.5, bfloat16=bfloat16)
    batch = make_batch()
    agent.learn(batch)
    first, again = (agent.acting_policy.q_values(batch.observation.numpy()) for _ in range(2))
    assert first.dtype == np.float32
    assert (first == again).all()
    exact = agent.online.eval()(batch.observation.float() / 255).detach().numpy()
    assert first == pytest.approx(exact, abs=0.02 if bfloat16 else 1e-5)


def test_advantage_learning_takes_its_share_of_the_action_gap_off_the_target():
    batch = make_batch()._replace(terminated=torch.ones(4, dtype=torch.bool))
    agent = make_agent(advantage_learning=0.5)
    with torch.no_grad():
        q_BA = agent.online(batch.observation.float() / 255)
    taken_B = q_BA.gather(1, batch.action[:, None])[:, 0]
    target_B = batch.n_step_return - 0.5 * (q_BA.amax(dim=1) - taken_B)
    by_hand = torch.nn.functional.huber_loss(taken_B, target_B).item()
    assert agent.learn(batch).loss.item() == pytest.approx(by_hand, rel=1e-5)


def test_the_learning_rate_stays_then_falls_in_a_straight_line_and_stays_at_its_end():
    agent = make_agent(learning_rate=1e-3, learning_rate_end=2e-4, decay_start_updates=2, decay_updates=4)
    used = []
    for _ in range(8):
        used.append(agent.learning_rate)
        agent.learn(make_batch())
    assert used == pytest.approx([1e-3, 1e-3, 1e-3, 8e-4, 6e-4, 4e-4, 2e-4, 2e-4])


def test_random_shifts_change_what_is_learned_and_follow_the_seed():
    learned = []
    for seed, pixels in ((1, 4), (1, 4), (2, 4), (1, 0)):
        torch.manual_seed(seed)
        agent = make_agent(random_shift=pixels)
        agent.learn(make_batch())
        learned.append(weights(agent.online))
    first, again, other, unmoved = learned
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, unmoved)


def test_quantiles_learn_towards_the_mean():
    agent = QAgent(
        AgentConfig(learning_rate=1e-3, target="double"),
        NetworkConfig(hidden_size=16, quantiles=8, dueling=True),
        num_actions=3,
        frame_stack=4,
        seed=1,
        device=CPU,
    )
    batch = make_batch()._replace(terminated=torch.ones(4, dtype=torch.bool))
    errors = [agent.learn(batch).td_error.abs().mean().item() for _ in range(100)]
    assert errors[-1] < 0.2 * errors[0]


@pytest.mark.parametrize("layer_norm", [False, True])
def test_the_values_of_an_observation_do_not_depend_on_what_else_is_asked_for(layer_norm: bool) -> None:
    config = NetworkConfig(hidden_size=32, layer_norm=layer_norm)
    network = build_network(config, num_actions=5, frame_stack=4, seed=0)
    policy = NetworkPolicy(network, torch.device("cpu"))
    observations = np.random.default_rng(0).integers(256, size=(37, 4, 84, 84), dtype=np.uint8)
    together = policy.q_values(observations)
    assert together.shape == (37, 5)
    for number in (0, 15, 16, 36):
        assert np.array_equal(policy.q_values(observations[number : number + 1]), together[number : number + 1])
    assert np.array_equal(policy.q_values(observations[::-1].copy()), together[::-1])


def test_the_learning_rate_is_the_step_of_the_first_update() -> None:
    """Adam's first step is the learning rate in each direction, but for epsilon: m / sqrt(v) is the gradient's sign."""
    agent = make_agent(learning_rate=1e-3, adam_epsilon=1e-12, gradient_clip=None)
    before = weights(agent.online)
    agent.learn(make_batch())
    moved, gradient = weights(agent.online) - before, gradient_of_first(agent)
    clear = gradient.abs() > 1e-6
    assert clear.sum() > 10_000
    assert torch.allclose(moved[clear], -1e-3 * gradient[clear].sign(), atol=2e-6)


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize(
    ("target", "layer_norm"), [("none", False), ("target", False), ("double", False), ("double", True)]
)
def test_an_update_is_the_same_bit_for_bit_on_one_core_and_on_two(target, bfloat16, layer_norm):
    learned = []
    for cores in (1, 2):
        torch.manual_seed(0)
        agent = make_agent(
            cores=cores,
            target=target,
            bfloat16=bfloat16,
            dropout=0.2,
            layer_norm=layer_norm,
            random_shift=4,
            averaging=0.01,
            soft_update=0.1,
        )
        found = [agent.learn(make_batch(seed=seed)) for seed in range(5)]
        learned.append([weights(agent.online), weights(agent.target), weights(agent.averaged), *found[-1]])
    for one, other in zip(*learned, strict=True):
        assert torch.equal(one, other)


def test_what_is_computed_with_follows_weights_that_are_loaded():
    batch = make_batch()
    other = make_agent(averaging=0.5, bfloat16=True)
    for seed in range(3):
        other.learn(make_batch(seed=seed))
    fresh, begun = make_agent(averaging=0.5, bfloat16=True), make_agent(averaging=0.5, bfloat16=True)
    fresh.load_state_dict(other.state_dict())
    begun.begin_with(other.online.state_dict())
    assert fresh.learn(batch).mean_q == begun.learn(batch).mean_q == other.learn(batch).mean_q


def with_demonstrations(size: int = 4) -> Batch:
    return make_batch(size)._replace(demonstration=torch.arange(size) % 2 == 0)


@pytest.mark.parametrize("target", ["none", "target", "double"])
def test_the_margin_is_the_same_term_of_the_loss_whatever_the_target(target):
    settings = {"target": target, "margin": 0.5, "margin_weight": 2.0}
    batch = with_demonstrations()
    agents = [make_agent(demonstrated=demonstrated, **settings) for demonstrated in (False, True)]
    values = agents[0].online(batch.observation.float() / 255).detach()
    # Of each demonstrated transition: what the action taken lacks to be worth 0.5 more than the two others.
    missing = [
        max([row[action], *(value + 0.5 for other, value in enumerate(row) if other != action)]) - row[action]
        for row, action in zip(values.tolist(), batch.action.tolist(), strict=True)
    ]
    without, with_margin = (agent.learn(batch) for agent in agents)
    assert with_margin.loss - without.loss == pytest.approx(2.0 * (missing[0] + missing[2]) / 4, rel=1e-4)
    assert torch.equal(with_margin.td_error, without.td_error), "priorities are of the returns alone"


@pytest.mark.parametrize(
    ("settings", "batch"),
    [
        ({"margin_weight": 0.0}, with_demonstrations()),
        ({"margin_weight": 1.0}, make_batch()),
    ],
    ids=["weight 0", "no demonstration in the batch"],
)
def test_without_a_weight_or_a_demonstration_an_update_is_as_it_was(settings, batch):
    plain, with_margin = make_agent(**settings), make_agent(demonstrated=True, **settings)
    for agent in (plain, with_margin):
        agent.learn(batch)
    weights = [torch.cat([one.flatten() for one in agent.online.parameters()]) for agent in (plain, with_margin)]
    assert torch.equal(*weights)
