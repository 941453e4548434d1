"""The Q-network: the article's size, dueling by hand, seeds."""

import pytest
import torch
from torch import nn

from mario_rl.agents.networks import QNetwork, build_network
from mario_rl.config import NetworkConfig


@pytest.mark.parametrize("actions", [5, 7, 12])
def test_the_default_is_the_articles_network_to_the_last_parameter(actions):
    assert sum(p.numel() for p in QNetwork(actions).parameters()) == 1_684_128 + 513 * actions


def test_dueling_adds_a_value_stream_of_the_same_hidden_size():
    plain = sum(p.numel() for p in QNetwork(5, hidden_size=256).parameters())
    dueling = sum(p.numel() for p in QNetwork(5, hidden_size=256, dueling=True).parameters())
    assert dueling - plain == (3136 * 256 + 256) + (256 + 1)


def test_dueling_adds_the_value_to_the_advantages_about_their_mean():
    network = QNetwork(2, hidden_size=1, dueling=True)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        last_action, last_value = network.action_head[-1], network.value_head[-1]
        assert isinstance(last_action, nn.Linear)
        assert isinstance(last_value, nn.Linear)
        last_action.bias.copy_(torch.tensor([1.0, 4.0]))  # mean 2.5
        last_value.bias.fill_(10.0)
    assert network(torch.zeros(1, 4, 84, 84)).tolist() == [[8.5, 11.5]]


def test_an_actions_value_is_the_mean_of_its_quantiles():
    network = QNetwork(2, hidden_size=1, quantiles=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        last = network.action_head[-1]
        assert isinstance(last, nn.Linear)
        last.bias.copy_(torch.tensor([0.0, 1.0, 5.0, 3.0, 3.0, 3.0]))  # of the first action, of the second
    frames = torch.zeros(1, 4, 84, 84)
    assert network.quantiles(frames).tolist() == [[[0.0, 1.0, 5.0], [3.0, 3.0, 3.0]]]
    assert network(frames).tolist() == [[2.0, 3.0]]


def test_layer_norm_makes_each_observations_numbers_mean_0_and_variance_1_over_channels_and_pixels():
    network = QNetwork(5, layer_norm=True)
    assert isinstance(network.features, nn.Sequential)
    first = network.features[:2]  # convolution and norm, as it begins: scaled by 1, moved by 0
    normed = first(torch.stack([torch.rand(4, 84, 84), 100 * torch.rand(4, 84, 84)]))
    assert normed.shape == (2, 32, 20, 20)
    for one in normed:
        assert one.mean().item() == pytest.approx(0.0, abs=1e-4)
        assert one.var(correction=0).item() == pytest.approx(1.0, abs=1e-3)


def test_layer_norm_by_hand():
    norm = next(
        one for one in QNetwork(5, channels=(2, 1, 1), layer_norm=True).features if isinstance(one, nn.GroupNorm)
    )
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 10.0]))  # a factor for each channel
        norm.bias.copy_(torch.tensor([0.0, 5.0]))  # and what is added
    numbers = torch.tensor([[[[1.0, 3.0]], [[1.0, 3.0]]]])  # two channels of two pixels: mean 2, variance 1
    assert norm(numbers).flatten().tolist() == pytest.approx([-1.0, 1.0, -5.0, 15.0], abs=1e-3)


def test_layer_norm_learns_two_numbers_per_channel():
    plain, normed = (sum(p.numel() for p in QNetwork(5, layer_norm=one).parameters()) for one in (False, True))
    assert normed - plain == 2 * (32 + 64 + 64)


def test_channels_are_those_of_the_three_convolutions():
    network = QNetwork(5, channels=(16, 32, 48), hidden_size=8)
    expected = (
        (4 * 16 * 8 * 8 + 16) + (16 * 32 * 4 * 4 + 32) + (32 * 48 * 3 * 3 + 48) + (48 * 7 * 7 * 8 + 8) + (8 * 5 + 5)
    )
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network(torch.zeros(2, 4, 84, 84)).shape == (2, 5)


def test_dropout_acts_while_learning_only():
    network = QNetwork(5, dropout=0.5)
    frames = torch.rand(1, 4, 84, 84)
    assert not torch.equal(network.train()(frames), network(frames))
    assert torch.equal(network.eval()(frames), network(frames))


def test_the_seed_alone_decides_the_weights_and_the_global_generator_stays():
    before = torch.get_rng_state()
    first, again, other = (build_network(NetworkConfig(), num_actions=5, frame_stack=4, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [network.action_head[0].weight for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_initial_weights_are_uniform_within_one_over_root_fan_in():
    weight = build_network(NetworkConfig(), num_actions=5, frame_stack=4, seed=0).action_head[0].weight
    bound = 3136**-0.5
    assert weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
