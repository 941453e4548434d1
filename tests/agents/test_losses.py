"""The three targets, the bootstrap and the loss, against numbers worked out by hand."""

import pytest
import torch
from torch import Tensor, tensor

from mario_rl.agents.losses import NEXT_VALUE, action_gap, bootstrapped_target, huber_loss, margin_loss, td_error

NEXT_OBSERVATION = tensor([[0], [1]])

# For two next observations: what the online and the target network say of two actions.
ONLINE_Q_BA = tensor([[0.0, 5.0], [3.0, 1.0]])
TARGET_Q_BA = tensor([[9.0, 2.0], [4.0, 8.0]])


def online(observation: Tensor) -> Tensor:
    return ONLINE_Q_BA[observation.squeeze(1)].unsqueeze(2)


def target(observation: Tensor) -> Tensor:
    return TARGET_Q_BA[observation.squeeze(1)].unsqueeze(2)


def forbidden(observation: Tensor) -> Tensor:
    raise AssertionError("asked")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", [5.0, 3.0]),  # the online network's best
        ("target", [9.0, 8.0]),  # the target network's best
        ("double", [2.0, 4.0]),  # the online network's choice (1, then 0), as the target network values it
    ],
)
def test_the_three_targets_value_the_next_observation_differently(name, expected):
    assert NEXT_VALUE[name](online, target, NEXT_OBSERVATION).squeeze(1).tolist() == expected


def test_the_article_dqn_never_asks_the_target_network():
    assert NEXT_VALUE["none"](online, forbidden, NEXT_OBSERVATION).squeeze(1).tolist() == [5.0, 3.0]


def test_target_network_dqn_never_asks_the_online_network():
    assert NEXT_VALUE["target"](forbidden, target, NEXT_OBSERVATION).squeeze(1).tolist() == [9.0, 8.0]


def test_the_target_adds_the_discounted_value_to_the_rewards_seen():
    value = bootstrapped_target(
        n_step_return_B=tensor([1.0, 1.75]),
        discount_B=tensor([0.5, 0.125]),  # gamma 0.5 after one step, and after three
        terminated_B=tensor([False, False]),
        next_value_BN=tensor([[2.0], [8.0]]),
    )
    assert value.tolist() == [[2.0], [2.75]]


def test_termination_is_worth_nothing_more_whatever_the_network_says_even_nan():
    value = bootstrapped_target(
        n_step_return_B=tensor([-2.5, -2.5]),
        discount_B=tensor([0.9, 0.9]),
        terminated_B=tensor([True, True]),
        next_value_BN=tensor([[1000.0], [float("nan")]]),
    )
    assert value.tolist() == [[-2.5], [-2.5]]


def test_truncation_still_bootstraps():
    # A truncated transition reaches the loss as not terminated: 1 + 0.9 * 10.
    value = bootstrapped_target(
        n_step_return_B=tensor([1.0]),
        discount_B=tensor([0.9]),
        terminated_B=tensor([False]),
        next_value_BN=tensor([[10.0]]),
    )
    assert value.item() == pytest.approx(10.0)


def test_targets_are_float32_even_from_bfloat16_values():
    value = bootstrapped_target(
        n_step_return_B=tensor([1.0]),
        discount_B=tensor([1.0]),
        terminated_B=tensor([False]),
        next_value_BN=tensor([[3.0]], dtype=torch.bfloat16),
    )
    assert value.dtype == torch.float32


def test_every_quantile_of_the_next_return_makes_one_of_the_target():
    value = bootstrapped_target(
        n_step_return_B=tensor([1.0, 1.0]),
        discount_B=tensor([0.5, 0.5]),
        terminated_B=tensor([False, True]),
        next_value_BN=tensor([[2.0, 6.0], [2.0, 6.0]]),
    )
    assert value.tolist() == [[2.0, 4.0], [1.0, 1.0]]


def test_actions_are_chosen_by_the_mean_of_their_quantiles():
    # Action 0 has the best single quantile, action 1 the better mean.
    assert NEXT_VALUE["target"](forbidden, lambda _: tensor([[[0.0, 9.0], [5.0, 6.0]]]), tensor([0])).tolist() == [
        [5.0, 6.0]
    ]


def test_huber_loss_is_quadratic_within_one_and_linear_beyond():
    # errors 0.5 and -3: (0.5 * 0.25 + (3 - 0.5)) / 2
    loss = huber_loss(tensor([[1.0], [4.0]]), tensor([[0.5], [7.0]]), tensor([1.0, 1.0]))
    assert loss.item() == pytest.approx((0.125 + 2.5) / 2)


def test_each_transition_counts_by_its_weight():
    loss = huber_loss(tensor([[1.0], [4.0]]), tensor([[0.5], [7.0]]), tensor([1.0, 0.2]))
    assert loss.item() == pytest.approx((0.125 + 0.2 * 2.5) / 2)


def test_quantiles_lean_to_their_side():
    # Two quantiles, tau 1/4 and 3/4, both at 0, against a target of 2 in both (Huber 1.5) and then of -2. A quantile
    # that is too low counts 2 tau, one that is too high 2 (1 - tau).
    for target_value, low, high in ((2.0, 0.5, 1.5), (-2.0, 1.5, 0.5)):
        taken_BN = tensor([[0.0, 0.0]], requires_grad=True)
        loss = huber_loss(taken_BN, tensor([[target_value, target_value]]), tensor([1.0]))
        assert loss.item() == pytest.approx((low + high) / 2 * 1.5)
        loss.backward()
        assert taken_BN.grad is not None
        assert taken_BN.grad.abs().tolist() == [[low / 2, high / 2]]


def test_the_td_error_is_how_far_the_mean_is_above_the_targets():
    assert td_error(tensor([[1.0, 3.0], [0.0, 0.0]]), tensor([[0.0, 1.0], [1.0, 1.0]])).tolist() == [1.5, -1.0]


def test_the_action_gap_is_how_much_less_the_taken_action_is_worth_than_the_best():
    q_BAN = tensor([[1.0, 4.0], [6.0, 5.5]]).unsqueeze(2)
    assert action_gap(q_BAN, tensor([0, 0])).tolist() == [3.0, 0.0]


# Values of three actions each. Only the first two are of demonstrations, which took actions 1 and 0.
MARGIN_Q_BA = tensor([[2.0, 1.5, -1.0], [4.0, 1.0, 3.0], [0.0, 9.0, 0.0]])
MARGIN_ACTION = tensor([1, 0, 0])
DEMONSTRATED = tensor([True, True, False])


def test_the_margin_loss_is_what_a_demonstrated_action_lacks_to_be_worth_that_much_more_than_all_others():
    loss = margin_loss(MARGIN_Q_BA.unsqueeze(2), MARGIN_ACTION, DEMONSTRATED, torch.ones(3), margin=0.8)
    # max(2.8, 1.5, -0.2) - 1.5 = 1.3; max(4, 1.8, 3.8) - 4 = 0; the third is no demonstration.
    assert loss.item() == pytest.approx(1.3 / 3)


def test_the_margin_loss_of_quantiles_is_that_of_their_means():
    spread = tensor([-1.0, 0.0, 1.0])
    quantiles = MARGIN_Q_BA.unsqueeze(2) + spread
    loss = margin_loss(quantiles, MARGIN_ACTION, DEMONSTRATED, torch.ones(3), margin=0.8)
    assert loss.item() == pytest.approx(1.3 / 3)


def test_the_margin_loss_weighs_each_transition():
    loss = margin_loss(MARGIN_Q_BA.unsqueeze(2), MARGIN_ACTION, DEMONSTRATED, tensor([0.5, 1.0, 1.0]), margin=0.8)
    assert loss.item() == pytest.approx(0.65 / 3)


def test_the_margin_loss_lifts_the_demonstrated_action_and_lowers_the_one_in_its_way():
    q_BAN = MARGIN_Q_BA.unsqueeze(2).clone().requires_grad_()
    margin_loss(q_BAN, MARGIN_ACTION, DEMONSTRATED, torch.ones(3), margin=0.8).backward()
    assert torch.allclose(q_BAN.grad.squeeze(2), tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]) / 3)
