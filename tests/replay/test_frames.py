"""Where frames lie makes no difference to what a replay holds; a GPU's memory is stood in for by the processor's."""

import numpy as np
import pytest
import torch

from mario_rl.config import Config
from mario_rl.errors import ConfigError
from mario_rl.replay import ReplayBuffer
from mario_rl.replay.frames import DeviceFrames, MemoryFrames
from mario_rl.runs.directory import RunDir
from mario_rl.training import check_machine
from mario_rl.types import Steps

CPU = torch.device("cpu")


def test_frames_are_read_as_they_were_written_and_hidden_ones_are_zeros():
    random = np.random.default_rng(0)
    frames = random.integers(1, 256, size=(6, 3, 2), dtype=np.uint8)
    for place in (MemoryFrames(10, (3, 2)), DeviceFrames(10, (3, 2), CPU)):
        place.write(np.array([7, 2, 3]), frames[:3])
        place.load(slice(4, 7), frames[3:])
        assert (place.read(slice(2, 5)) == frames[1:4]).all()
        rows, hidden = np.array([[2, 7], [6, 0]]), np.array([[True, False], [False, False]])
        stacks = place.stacks(rows, hidden)
        assert stacks.dtype == torch.uint8
        expected = np.stack([[np.zeros((3, 2)), frames[0]], [frames[5], np.zeros((3, 2))]])
        assert (stacks.numpy() == expected).all()


def test_a_replay_with_its_frames_elsewhere_samples_saves_and_loads_the_same(tmp_path, monkeypatch):
    def filled(*, elsewhere: bool) -> ReplayBuffer:
        with monkeypatch.context() as patched:
            if elsewhere:
                patched.setattr(
                    "mario_rl.replay.buffer.make_frames", lambda rows, shape, **_: DeviceFrames(rows, shape, CPU)
                )
            return ReplayBuffer(
                60, num_envs=2, frame_shape=(4, 4), frame_stack=3, n_step=2, gamma=0.9,
                rng=np.random.default_rng(1), priority_exponent=0.5,
            )  # fmt: skip

    here, there, restored = filled(elsewhere=False), filled(elsewhere=True), filled(elsewhere=True)
    random = np.random.default_rng(2)
    for _ in range(80):
        steps = Steps(
            frame=random.integers(256, size=(2, 4, 4), dtype=np.uint8),
            action=random.integers(5, size=2),
            reward=random.normal(size=2),
            terminated=random.random(2) < 0.1,
            truncated=random.random(2) < 0.1,
            last_frame=random.integers(256, size=(2, 4, 4), dtype=np.uint8),
        )
        here.add(steps)
        there.add(steps)
    there.save(tmp_path / "replay.npz")
    restored.load(tmp_path / "replay.npz")
    for _ in range(5):
        batches = [replay.sample(16) for replay in (here, there, restored)]
        for parts in zip(*batches, strict=True):
            assert torch.equal(parts[0], parts[1])
            assert torch.equal(parts[0], parts[2])


def test_frames_on_a_gpu_that_does_not_learn_are_refused_in_one_line(tmp_path):
    config = Config.model_validate({"device": "cpu", "replay": {"device": "cuda", "capacity": 6000}})
    with pytest.raises(ConfigError, match=r"^replay\.device: cuda is not where the agent learns; allowed here: cpu$"):
        check_machine(config, RunDir(tmp_path))
