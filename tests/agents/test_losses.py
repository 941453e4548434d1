"""The three targets, the bootstrap and the loss, against numbers worked out by hand."""

import pytest
import torch
from torch import Tensor, tensor

from mario_rl.agents.losses import NEXT_VALUE, bootstrapped_target, huber_loss

NEXT_OBSERVATION = tensor([[0], [1]])

# For two next observations: what the online and the target network say of two actions.
ONLINE_Q_BA = tensor([[0.0, 5.0], [3.0, 1.0]])
TARGET_Q_BA = tensor([[9.0, 2.0], [4.0, 8.0]])


def online(observation: Tensor) -> Tensor:
    return ONLINE_Q_BA[observation.squeeze(1)]


def target(observation: Tensor) -> Tensor:
    return TARGET_Q_BA[observation.squeeze(1)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", [5.0, 3.0]),  # the online network's best
        ("target", [9.0, 8.0]),  # the target network's best
        ("double", [2.0, 4.0]),  # the online network's choice (1, then 0), as the target network values it
    ],
)
def test_the_three_targets_value_the_next_observation_differently(name, expected):
    assert NEXT_VALUE[name](online, target, NEXT_OBSERVATION).tolist() == expected


def test_the_article_dqn_never_asks_the_target_network():
    def forbidden(observation: Tensor) -> Tensor:
        raise AssertionError("asked")

    assert NEXT_VALUE["none"](online, forbidden, NEXT_OBSERVATION).tolist() == [5.0, 3.0]


def test_target_network_dqn_never_asks_the_online_network():
    def forbidden(observation: Tensor) -> Tensor:
        raise AssertionError("asked")

    assert NEXT_VALUE["target"](forbidden, target, NEXT_OBSERVATION).tolist() == [9.0, 8.0]


def test_the_target_adds_the_discounted_value_to_the_rewards_seen():
    value = bootstrapped_target(
        n_step_return_B=tensor([1.0, 1.75]),
        discount_B=tensor([0.5, 0.125]),  # gamma 0.5 after one step, and after three
        terminated_B=tensor([False, False]),
        next_value_B=tensor([2.0, 8.0]),
    )
    assert value.tolist() == [2.0, 2.75]


def test_termination_is_worth_nothing_more_whatever_the_network_says_even_nan():
    value = bootstrapped_target(
        n_step_return_B=tensor([-2.5, -2.5]),
        discount_B=tensor([0.9, 0.9]),
        terminated_B=tensor([True, True]),
        next_value_B=tensor([1000.0, float("nan")]),
    )
    assert value.tolist() == [-2.5, -2.5]


def test_truncation_still_bootstraps():
    # A truncated transition reaches the loss as not terminated: 1 + 0.9 * 10.
    value = bootstrapped_target(
        n_step_return_B=tensor([1.0]),
        discount_B=tensor([0.9]),
        terminated_B=tensor([False]),
        next_value_B=tensor([10.0]),
    )
    assert value.tolist() == pytest.approx([10.0])


def test_targets_are_float32_even_from_bfloat16_values():
    value = bootstrapped_target(
        n_step_return_B=tensor([1.0]),
        discount_B=tensor([1.0]),
        terminated_B=tensor([False]),
        next_value_B=tensor([3.0], dtype=torch.bfloat16),
    )
    assert value.dtype == torch.float32


def test_huber_loss_is_quadratic_within_one_and_linear_beyond():
    q_BA = tensor([[0.0, 7.0], [4.0, 0.0]])
    loss = huber_loss(q_BA, tensor([0, 0]), tensor([0.5, 1.0]))
    # errors 0.5 and 3: (0.5 * 0.25 + (3 - 0.5)) / 2
    assert loss.item() == pytest.approx((0.125 + 2.5) / 2)


def test_only_the_taken_actions_values_are_pulled():
    q_BA = tensor([[1.0, 2.0]], requires_grad=True)
    huber_loss(q_BA, tensor([1]), tensor([1.5])).backward()
    assert q_BA.grad is not None
    assert q_BA.grad.tolist() == [[0.0, 0.5]]
