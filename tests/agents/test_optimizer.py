"""The optimiser's halves, and the states that it goes on from."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mario_rl.agents.beside import Beside
from mario_rl.agents.networks import build_network
from mario_rl.agents.optimizer import Adam, Rates, _in_halves
from mario_rl.agents.weights import Computing, FlatWeights
from mario_rl.config import NetworkConfig

CPU = torch.device("cpu")


def make_adam() -> tuple[Adam, FlatWeights]:
    network = build_network(NetworkConfig(hidden_size=16), num_actions=3, frame_stack=4, seed=1)
    weights = FlatWeights(network)
    computing = Computing(weights, torch.float32)
    return Adam((weights, computing), None, None, epsilon=1e-8, gradient_clip=None, beside=Beside(1, CPU)), weights


def gradients(seed: int) -> list[torch.Tensor]:
    network = build_network(NetworkConfig(hidden_size=16), num_actions=3, frame_stack=4, seed=seed).over_blocks()
    return [one.detach() for one in network.parameters()]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_the_halves_cover_every_weight_once_and_are_as_large_as_each_other(sizes):
    first, second = _in_halves(sizes)
    places = [
        (part.piece, index, part.place + index - part.begin)
        for part in first + second
        for index in range(part.begin, part.end)
    ]
    begins = [sum(sizes[:piece]) for piece in range(len(sizes))]
    expected = [(piece, index, begins[piece] + index) for piece, size in enumerate(sizes) for index in range(size)]
    assert places == expected
    assert sum(part.end - part.begin for part in first) == sum(sizes) // 2


def test_a_state_of_pytorchs_adam_over_the_parameters_is_gone_on_from():
    """That is what runs of older versions have."""
    ours, weights = make_adam()
    theirs = build_network(NetworkConfig(hidden_size=16), num_actions=3, frame_stack=4, seed=1)
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-3, eps=1e-8)
    for seed in (2, 3):
        for one, gradient in zip(theirs.parameters(), ours._computing.flattened(gradients(seed)), strict=True):
            one.grad = gradient.view_as(one)
        if seed == 3:
            ours.load_state_dict(adam.state_dict())
            weights.network.load_state_dict(theirs.state_dict())
            ours.set_rates(Rates(1e-3, 0.0, 0.0))
            ours.move(gradients(seed))
        adam.step()
    assert ours.steps == 2
    for one, other in zip(weights.network.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_state_from_before_the_first_update_is_that_of_a_new_optimiser():
    adam, _ = make_adam()
    adam.set_rates(Rates(1e-3, 0.0, 0.0))
    adam.move(gradients(2))
    unused = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    adam.load_state_dict(unused.state_dict())
    assert adam.steps == 0
    assert not adam.first_moment.any()
    assert not adam.second_moment.any()


def test_a_state_of_other_weights_is_refused():
    adam, _ = make_adam()
    state = adam.state_dict()
    state["state"][0]["exp_avg"] = torch.zeros(3, 3)
    with pytest.raises(RuntimeError):
        adam.load_state_dict(state)
