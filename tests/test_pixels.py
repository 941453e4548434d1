"""Pixels: scaled as arrays and as tensors, shifted at random."""

import numpy as np
import torch

from mario_rl.pixels import to_unit
from mario_rl.tensors import draw_shifts, random_shift, tensor_to_unit

ALL_BYTES = np.arange(256, dtype=np.uint8)


def test_scaling_takes_all_256_values_to_different_ones_from_0_to_1():
    unit = to_unit(ALL_BYTES)
    assert unit.dtype == np.float32
    assert unit[0] == 0.0
    assert unit[255] == 1.0
    assert (np.diff(unit) > 0).all()


def test_tensors_are_scaled_like_arrays():
    assert (tensor_to_unit(torch.from_numpy(ALL_BYTES)).numpy() == to_unit(ALL_BYTES)).all()


def test_bfloat16_pixels_are_the_float32_ones_rounded():
    rounded = tensor_to_unit(torch.from_numpy(ALL_BYTES), torch.bfloat16)
    assert torch.equal(rounded, torch.from_numpy(to_unit(ALL_BYTES)).bfloat16())


def test_a_shifted_observation_is_a_crop_of_the_one_with_its_border_repeated_and_every_crop_is_drawn():
    frames = np.arange(2 * 5 * 4, dtype=np.uint8).reshape(2, 5, 4)
    padded = np.pad(frames, ((0, 0), (1, 1), (1, 1)), mode="edge")
    crops = {(y, x): padded[:, y : y + 5, x : x + 4].tobytes() for y in range(3) for x in range(3)}
    torch.manual_seed(0)
    shifted = random_shift(torch.from_numpy(frames).expand(200, 2, 5, 4), draw_shifts(200, 1, torch.device("cpu")))
    assert shifted.dtype == torch.uint8
    assert {observation.numpy().tobytes() for observation in shifted} == set(crops.values())
