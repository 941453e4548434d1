"""A network body of one's own: checked before it learns, initialised from the seed, computed on pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mario_rl.agents import QAgent
from mario_rl.agents.networks import build_network, to_pixels
from mario_rl.agents.policy import NetworkPolicy
from mario_rl.config import AgentConfig, NetworkConfig
from mario_rl.errors import ConfigError
from mario_rl.tensors import random_shift
from mario_rl.types import Batch

CPU = torch.device("cpu")


def network(body: str | None, seed: int = 1, **options):
    return build_network(NetworkConfig(body=body, hidden_size=16, **options), num_actions=3, frame_stack=4, seed=seed)


def test_its_features_are_counted_and_the_heads_stay_ours():
    made = network("own_classes:Small", dueling=True, quantiles=2)
    assert made.action_head[0].in_features == 4 * 10 * 10
    assert made.quantiles(torch.rand(5, 4, 84, 84)).shape == (5, 3, 2)


def test_its_weights_depend_on_the_seed_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (network("own_classes:Small", seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["features.convolution.weight"], other["features.convolution.weight"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Image", "gives (2, 2, 77, 77) for 2 observations; must be float32 (2, features), as of nn.Flatten()"),
        ("Normalised", "normalise.running_mean changes when it is called, as BatchNorm's does; only parameters may"),
        ("Idle", "idle.weight is not used in forward, so it can't learn; leave it out"),
        ("Frozen", "all parameters must be float32 and learn; what stays as it is, is a buffer"),
        ("Nothing", "failed in Nothing(4) (TypeError: "),
        ("Nought", "is not allowed; must be a class whose base is torch.nn.Module"),
    ],
)
def test_what_can_not_learn_is_refused_in_one_line(name, says):
    with pytest.raises(ConfigError) as error:
        network(f"own_classes:{name}")
    assert str(error.value).startswith("network.body: own_classes:")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def batch(size: int = 8) -> Batch:
    rng = np.random.default_rng(3)
    observation, following = (torch.from_numpy(rng.integers(256, size=(size, 4, 84, 84), dtype=np.uint8)) for _ in "12")
    return Batch(
        observation=observation,
        action=torch.from_numpy(rng.integers(3, size=size)),
        n_step_return=torch.from_numpy(rng.random(size, dtype=np.float32)),
        next_observation=following,
        terminated=torch.zeros(size, dtype=torch.bool),
        discount=torch.full((size,), 0.9),
        weight=torch.ones(size),
        slot=torch.zeros(size, 2, dtype=torch.int64),
        demonstration=torch.zeros(size, dtype=torch.bool),
    )


def agent(body: str | None, cores: int = 1, **options) -> QAgent:
    config = AgentConfig(batch_size=8, sync_period_updates=3, learning_rate=1e-3, **options)
    return QAgent(
        config, NetworkConfig(body=body, hidden_size=16), num_actions=3, frame_stack=4, seed=1, device=CPU, cores=cores
    )


def test_the_package_s_own_convolutions_named_as_a_body_learn_the_same_but_for_rounding():
    named, built_in = agent("own_classes:Mnih"), agent(None)
    names = [name for name in named.online.state_dict() if "features" in name]
    renamed = {name.replace("features.layers", "features"): value for name, value in named.online.state_dict().items()}
    built_in.begin_with({name: value.clone() for name, value in renamed.items()})
    for _ in range(5):
        ours, theirs = named.learn(batch()), built_in.learn(batch())
        assert ours.loss.item() == pytest.approx(theirs.loss.item(), rel=1e-4)
    assert names
    for name, value in named.online.state_dict().items():
        other = built_in.online.state_dict()[name.replace("features.layers", "features")]
        assert torch.allclose(value, other, atol=2e-4), name


@pytest.mark.parametrize("options", [{}, {"bfloat16": True, "random_shift": 2, "averaging": 0.1}])
def test_two_cores_learn_the_same_as_one(options):
    states = []
    for cores in (1, 2):
        torch.manual_seed(0)
        learner = agent("own_classes:Small", cores, **options)
        for _ in range(4):
            learner.learn(batch())
        states.append(learner.state_dict()["online"])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    begun = agent("own_classes:Small").online.state_dict()
    assert not torch.equal(states[0]["features.convolution.weight"], begun["features.convolution.weight"])


def test_a_gradient_that_is_one_number_seen_many_times_moves_all_of_its_weights_alike():
    learner = agent("own_classes:Summed")
    for _ in range(3):
        learner.learn(batch())
    scale = learner.online.state_dict()["features.scale"]
    assert scale.shape == (64,)
    assert scale.unique().numel() == 1
    assert scale[0] != 1 / 64


def test_what_acts_values_as_what_is_evaluated():
    learner = agent("own_classes:Small")
    learner.learn(batch())
    seen = batch().observation.numpy()
    assert np.allclose(learner.acting_policy.q_values(seen), learner.averaged_policy.q_values(seen), atol=1e-5)
    assert isinstance(learner.averaged_policy, NetworkPolicy)


def test_pixels_are_shifted_and_scaled():
    seen = batch(2).observation
    shift = torch.tensor([[1, -2], [0, 3]])
    assert torch.equal(to_pixels(seen, shift, torch.float32), random_shift(seen, shift) / 255)
    assert to_pixels(seen, None, torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_learns_the_same_but_for_rounding_recorded_or_not():
    weights = []
    for device, play_back in (("cpu", False), ("cuda", False), ("cuda", True)):
        config = AgentConfig(batch_size=8, sync_period_updates=3, learning_rate=1e-3)
        network = NetworkConfig(body="own_classes:Mnih", hidden_size=16)
        learner = QAgent(config, network, num_actions=3, frame_stack=4, seed=1, device=torch.device(device), cores=1)
        learner.play_back = play_back
        for _ in range(8):
            learner.learn(batch())
        weights.append({name: value.cpu() for name, value in learner.online.state_dict().items()})
    for other in weights[1:]:
        assert all(torch.allclose(weights[0][name], other[name], atol=2e-3) for name in weights[0])
