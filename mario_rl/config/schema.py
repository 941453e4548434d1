"""Every option there is: typed, frozen sections with a default and a line of explanation for each key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from mario_rl.extensions import WRITTEN, is_class_path
from mario_rl.names import Protocol, Target
from mario_rl.wording import count_text

MOST_COUNTED = 10**12  # steps, updates, episodes: centuries of them, and exact in every table
MOST_SECONDS = 1e9
MOST_POINTS = 1e6  # of the game's reward, which is below 100 a frame
MOST_PATH_BYTES = 4_096  # of Linux
MOST_STAGES = 100  # in the list that episodes draw from
MOST_EVALUATED = 10_000  # episodes of one stage
MOST_WEIGHTS = 2**18  # of the network's last layer, per action
MOST_COMPARED = 2**26  # pairs of quantiles in an update
MOST_REWOUND = 2**20  # frames that all environments together can go back
MOST_CHANNELS = 256  # of a convolution
MOST_CLASSES = 20  # wrappers or observers of one's own
MOST_TRAJECTORIES = 100  # to learn from
MOST_WINDOW = 60  # episodes: what became of each is a bit of a number


def _possible_path(path: str) -> str:
    try:
        possible = len(os.fsencode(path)) <= MOST_PATH_BYTES and "\0" not in path
    except UnicodeEncodeError:  # half a character, which YAML can write
        possible = False
    if not possible:
        raise ValueError(f"a path: at most {MOST_PATH_BYTES:,} bytes of UTF-8, without the character NUL")
    return path


def _class_path(name: str) -> str:
    if not is_class_path(name):
        raise ValueError(f"the name of a class, {WRITTEN}")
    return name


def _class_paths(names: Any) -> Any:
    """Check before the types are, so that the whole list is shown."""
    if isinstance(names, list | tuple) and len(names) <= MOST_CLASSES and all(map(is_class_path, names)):
        return names
    raise ValueError(f"a list of up to {MOST_CLASSES} classes, each {WRITTEN}")


def _trajectory_files(names: Any) -> Any:
    """Check before the types are, so that the whole list is shown."""
    if (
        isinstance(names, list | tuple)
        and len(names) <= MOST_TRAJECTORIES
        and all(isinstance(one, str) for one in names)
    ):
        return [_possible_path(one) for one in names]
    raise ValueError(f"a list of up to {MOST_TRAJECTORIES} trajectory files, such as [clear.json]; [] for none")


type Probability = Annotated[float, Field(ge=0.0, le=1.0)]
type Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
type Count = Annotated[int, Field(gt=0, le=MOST_COUNTED)]
type EvaluatedEpisodes = Annotated[int, Field(gt=0, le=MOST_EVALUATED)]
type Seconds = Annotated[float, Field(gt=0.0, le=MOST_SECONDS)]
type ClassPath = Annotated[str, AfterValidator(_class_path)]
type ClassPaths = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_class_paths)]
type PathText = Annotated[str, AfterValidator(_possible_path)]
type Trajectories = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_trajectory_files)]

STAGES = tuple(f"{world}-{stage}" for world in range(1, 9) for stage in range(1, 5))
WHOLE_GAME = "game"
BEFORE_THE_MINUS_WORLD = 2  # stages: its way in is the warp zone of 1-2
ACTION_SETS = ("right_only", "simple", "complex")
REWARDS = ("classic", "shaped")
TRACKERS = ("tensorboard", "wandb")
MAX_ACTIONS = 256  # the replay keeps an action in a byte
BUTTONS = ("A", "B", "up", "down", "left", "right", "start", "select", "NOOP")


def stages_behind(stage: str) -> int:
    """Count the stages of the game that lie behind whoever has come to one, warps included: 0 in 1-1, 31 in 8-4.

    The memory can show others, and all have their place. The minus world is "36-1": nothing leads on from it, so it
    counts for no more than the stages on the way there, and so does every other world that the game does not have. A
    stage past a world's last counts as its last.

    Args:
        stage: world and stage, such as "1-2".
    """
    world, number = (int(part) for part in stage.split("-"))
    last = int(STAGES[-1].split("-")[0])
    return 4 * (world - 1) + min(number, 4) - 1 if world <= last else BEFORE_THE_MINUS_WORLD


class Section(BaseModel):
    """A frozen part of the config; unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class EnvConfig(Section):
    """The game as the agent meets it."""

    stage: str | Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = Field(
        "1-1", description="A stage such as 1-1, a list of stages of which each episode draws one, or game (all of it)."
    )
    rom: PathText | None = Field(
        None, description="An NES file of the game; null for the one that gym-super-mario-bros ships."
    )
    emulator: Literal["native", "nes_py"] = Field(
        "native",
        description="native: compiled, 45 times as fast; nes_py: the one it is tested against. Both give the same.",
    )
    action_set: (
        str
        | Annotated[
            tuple[Annotated[tuple[str, ...], Field(strict=False, min_length=1)], ...], Field(strict=False, min_length=1)
        ]
    ) = Field(
        "right_only",
        description="right_only (5 actions), simple (7), complex (12), or a list of button lists: [[right], [right, A]].",
    )
    reward: str = Field(
        "classic",
        description="classic: x, clock, death (version 7); shaped: also score, coins, power-ups, clear (9); or package.module:Name.",
    )
    reward_clip: PositiveFloat | None = Field(
        15.0,
        le=MOST_POINTS,
        description="Bound on the game's reward per frame, either way; null for none. Not of a reward of your own.",
    )
    clear_bonus: NonNegativeFloat = Field(
        0.0, le=MOST_POINTS, description="Points added on the frame that clears a stage, after clipping."
    )
    death_penalty: NonNegativeFloat = Field(
        0.0, le=MOST_POINTS, description="Points taken off on the frame Mario dies, after clipping."
    )
    reward_scale: PositiveFloat = Field(
        0.1, le=MOST_POINTS, description="What each frame's reward is multiplied by, last of all."
    )
    grayscale: Literal["article", "plain"] = Field(
        "article",
        description="article: RGB maximum, float luma, resized and cropped as published; plain: native luma, gray "
        "maximum, whole screen.",
    )
    show_buttons: bool = Field(
        False,
        description="Paint the buttons of the last agent step into each frame (the last action as input: Kapturowski et "
        "al. 2019).",
    )
    frame_skip: PositiveInt = Field(4, le=256, description="Emulator frames each action is held for.")
    frame_stack: PositiveInt = Field(4, le=16, description="Frames in one observation.")
    noop_max: NonNegativeInt = Field(
        30, le=1000, description="Most frames without input before an episode; each draws 0 to this."
    )
    sticky_probability: Probability = Field(
        0.0, description="Chance per emulator frame that the previous frame's buttons stay pressed."
    )
    snapshot_probability: Probability = Field(
        0.0, description="Chance that a training episode begins a little before where one of the last deaths was."
    )
    snapshot_rewind_steps: PositiveInt = Field(
        60, ge=8, le=10_000, description="Agent steps before the death, at most, that such an episode begins."
    )
    stall_limit: Count | None = Field(
        200, description="Agent steps without a new best x after which an episode is truncated; null for never."
    )
    max_agent_steps: Count | None = Field(
        3000, description="Agent steps after which an episode is truncated; null for never."
    )

    wrappers: ClassPaths = Field(
        (), description="Gymnasium vector wrappers around the games, each package.module:Name, innermost first."
    )

    @property
    def stages(self) -> tuple[str, ...]:
        """Where episodes may begin: one stage, those of a list, or `game`."""
        return (self.stage,) if isinstance(self.stage, str) else self.stage

    @field_validator("reward", mode="before")
    @classmethod
    def _known_reward(cls, reward: Any) -> Any:
        if reward in REWARDS or is_class_path(reward):
            return reward
        raise ValueError(f"one of {', '.join(REWARDS)}, or a class of your own, {WRITTEN}")

    @field_validator("stage", mode="before")
    @classmethod
    def _known_stage(cls, stage: Any) -> Any:
        """Check before the types are: a union of types would complain once per member."""
        names = stage if isinstance(stage, list | tuple) else [stage]
        if stage == WHOLE_GAME or (0 < len(names) <= MOST_STAGES and all(name in STAGES for name in names)):
            return stage
        raise ValueError(f"a stage from 1-1 to 8-4, a list of up to {MOST_STAGES} such stages, or {WHOLE_GAME}")

    @field_validator("action_set", mode="before")
    @classmethod
    def _known_actions(cls, action_set: Any) -> Any:
        if isinstance(action_set, list | tuple):
            lists = all(isinstance(one, list | tuple) and 0 < len(one) <= len(BUTTONS) for one in action_set)
            if 0 < len(action_set) <= MAX_ACTIONS and lists and all(b in BUTTONS for a in action_set for b in a):
                return action_set
        elif action_set in ACTION_SETS:
            return action_set
        raise ValueError(
            f"one of {', '.join(ACTION_SETS)}, or a list of up to {MAX_ACTIONS} button lists, each of up to "
            f"{len(BUTTONS)}, from {', '.join(BUTTONS)}"
        )


class NetworkConfig(Section):
    """The Q-network."""

    body: ClassPath | None = Field(
        None,
        description="A torch.nn.Module from frames to features, package.module:Name; null: that of Mnih et al. 2015.",
    )
    channels: Annotated[tuple[int, int, int], Field(strict=False)] = Field(
        (32, 64, 64), description="Channels of the three convolutions: of Mnih et al. 2015; fewer are faster."
    )
    layer_norm: bool = Field(
        False, description="Normalise what each convolution makes of an observation, before its ReLU (Ba et al. 2016)."
    )
    hidden_size: PositiveInt = Field(
        512, le=16_384, description="Units in the hidden linear layer (in each of the two if dueling)."
    )
    dueling: bool = Field(False, description="Separate state value and action advantages (Wang et al. 2016).")
    quantiles: PositiveInt = Field(
        1, le=512, description="Quantiles of the return per action (Dabney et al. 2018, QR-DQN); 1: its mean alone."
    )
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="Chance that a hidden unit is dropped while learning."
    )

    @field_validator("channels", mode="before")
    @classmethod
    def _three_numbers(cls, channels: Any) -> Any:
        if (
            isinstance(channels, list | tuple)
            and len(channels) == 3
            and all(type(one) is int and 0 < one <= MOST_CHANNELS for one in channels)
        ):
            return channels
        raise ValueError(f"a list of three whole numbers from 1 to {MOST_CHANNELS}, one for each convolution")

    @model_validator(mode="after")
    def _body_has_its_own(self) -> Self:
        if self.body is not None:
            for key in ("channels", "layer_norm"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key} is of the convolutions that body {self.body} stands in for; leave it out")
        return self


class ReplayConfig(Section):
    """What the agent remembers."""

    capacity: PositiveInt = Field(
        100_000, le=10**9, description="Frames kept over all environments, 7.06 kB each; oldest go first."
    )
    warmup_steps: Count = Field(5_000, description="Agent steps before the first update.")
    priority_exponent: Probability = Field(
        0.0, description="Alpha of prioritised replay (Schaul et al. 2016): 0 draws uniformly, 0.6 is theirs."
    )
    importance_exponent: Probability = Field(
        0.5, description="Beta of its weights in the loss: 0 for none, 1 to undo all of the bias."
    )
    demonstrations: Trajectories = Field(
        (), description="Trajectories that clear their stage, kept for ever beside what the agent plays (DQfD)."
    )
    demonstration_bonus: NonNegativeFloat = Field(
        1.0,
        le=MOST_POINTS,
        description="Added to their priorities in prioritised replay (Hester et al. 2018: 1); 0: none.",
    )

    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="Where frames lie: in the machine's memory, or in that of the GPU that learns from them."
    )

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_steps > self.capacity:
            raise ValueError(f"warmup_steps {self.warmup_steps} must be at most capacity ({self.capacity})")
        return self


class EpsilonConfig(Section):
    """Exploration: how often an action is random."""

    schedule: Literal["linear", "per_episode", "per_update"] = Field(
        "linear",
        description="linear: over decay_steps agent steps; per_episode (from a stage's start), per_update: x decay_factor.",
    )
    start: Probability = Field(1.0, description="Epsilon at the beginning.")
    end: Probability = Field(0.05, description="Epsilon never falls below this.")
    decay_steps: Count = Field(50_000, description="Agent steps of the linear decay.")
    decay_factor: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.99, description="Factor of the other two schedules."
    )

    spread: NonNegativeFloat = Field(
        0.0,
        le=100.0,
        description="Environment i of N explores with epsilon ** (1 + spread * i / (N - 1)): 0 all alike, 7 as Ape-X.",
    )

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.end > self.start:
            raise ValueError(f"end {self.end} must be at most start ({self.start})")
        return self


class AgentConfig(Section):
    """How values are learned and acted on."""

    target: Target = Field(
        "double",
        description="none: no target network (the article's DQN); target: Mnih 2015 (the article's DDQN); double: van "
        "Hasselt 2016.",
    )
    gamma: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.95, description="Discount per agent step.")
    n_step: PositiveInt = Field(5, le=64, description="Rewards summed before the target bootstraps.")
    learning_rate: PositiveFloat = Field(2e-4, le=1.0, description="Adam's step size.")
    learning_rate_end: PositiveFloat | None = Field(
        None, le=1.0, description="Step size that it falls to in a straight line; null to keep it."
    )
    decay_start_updates: NonNegativeInt = Field(
        0, le=MOST_COUNTED, description="Updates before the step size begins to fall."
    )
    decay_updates: Count = Field(100_000, description="Updates over which the step size falls.")
    advantage_learning: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="Share of the action gap taken off the target (Bellemare et al. 2016, equation 10)."
    )
    random_shift: NonNegativeInt = Field(
        0, le=16, description="Pixels a sampled observation is shifted by at most, each way (Yarats et al. 2021, DrQ)."
    )
    margin: NonNegativeFloat = Field(
        0.8, le=MOST_POINTS, description="How much more than others a demonstrated action should be worth (DQfD: 0.8)."
    )
    margin_weight: NonNegativeFloat = Field(
        1.0,
        le=MOST_POINTS,
        description="Weight of the loss where it is not, of demonstrations alone (DQfD: 1); 0: none.",
    )
    adam_epsilon: PositiveFloat = Field(
        1.5e-4, le=1.0, description="Adam's epsilon (1.5e-4: Hessel et al. 2018; 1e-8: Adam's own)."
    )
    batch_size: PositiveInt = Field(32, le=4_096, description="Transitions per update.")
    steps_per_update: Count = Field(4, description="Agent steps, over all environments, per update.")
    sync_period_updates: Count = Field(500, description="Updates between copies to the target network.")
    soft_update: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None,
        description="Share of the online network mixed into the target network at every update, instead of copies.",
    )
    averaging: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None,
        description="Share per update of the online network in a running mean, evaluated and kept instead (Polyak 1992).",
    )
    gradient_clip: PositiveFloat | None = Field(10.0, le=1e9, description="Largest gradient norm; null for no limit.")
    bfloat16: bool | Literal["auto"] = Field(
        False, description="Compute updates in bfloat16 rather than float32; auto: where that is known to be faster."
    )
    epsilon: EpsilonConfig = Field(default_factory=EpsilonConfig, description="Exploration.")


class TrainingConfig(Section):
    """How long, on how many environments, and what is kept. The first stop condition reached ends the run."""

    agent_steps: Count | None = Field(1_000_000, description="Stop after this many agent steps; null for no limit.")
    episodes: Count | None = Field(None, description="Stop after this many episodes from a stage's start.")
    minutes: PositiveFloat | None = Field(
        None, le=MOST_SECONDS / 60, description="Stop after this many minutes, resumed time included."
    )
    clear_rate: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None, description="Stop when an evaluation reaches this clear rate."
    )
    initial_checkpoint: PathText | None = Field(
        None, description="Checkpoint or run directory whose network training begins with; null for random weights."
    )
    demonstration_updates: NonNegativeInt = Field(
        0, le=MOST_COUNTED, description="Updates on demonstrations alone before the first agent step (DQfD)."
    )
    backward_starts: Trajectories = Field(
        (),
        description="Trajectories, one per stage: episodes begin near their end, then further back (Salimans & Chen 2018).",
    )
    backward_probability: Probability = Field(
        0.75, description="Chance that an episode of such a stage begins there, until the stage's start is reached."
    )
    backward_threshold: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.2, description="Share of the window's episodes that must clear for the start to move back."
    )
    backward_window: PositiveInt = Field(
        10, le=MOST_WINDOW, description="Last episodes from the same start, per environment, that are looked at."
    )
    envs: PositiveInt = Field(8, le=256, description="Environments played side by side.")
    checkpoint_every_steps: Count = Field(25_000, description="Agent steps between checkpoints.")
    keep_checkpoints: NonNegativeInt = Field(3, le=10_000, description="Step checkpoints kept besides best and latest.")
    observers: ClassPaths = Field(
        (),
        description="mario_rl.Observer classes of your own that are told how training goes, package.module:Name each.",
    )

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.agent_steps is None and self.episodes is None and self.minutes is None and self.clear_rate is None:
            raise ValueError("at least one of agent_steps, episodes, minutes and clear_rate must be set")
        return self


class EvaluationConfig(Section):
    """How the agent is tested while it trains; the protocol replaces env.noop_max and env.sticky_probability."""

    every_steps: Count | None = Field(50_000, description="Agent steps between evaluations; null for none.")
    protocol: Protocol = Field(
        "noop",
        description="greedy (1 episode), noop (31: each start after 0-30 frames), sticky (p = 0.25 per frame) or "
        "epsilon (0.01).",
    )
    episodes: EvaluatedEpisodes = Field(
        20, description="Episodes of sticky and epsilon; the others have a fixed number."
    )
    seed: Seed = Field(10_000, description="Seed of the evaluation episodes while training.")


class LoggingConfig(Section):
    """What is written while training."""

    every_seconds: Seconds = Field(10.0, description="Seconds between rows of metrics.csv.")
    curve_every_seconds: Seconds = Field(
        60.0, description="Seconds between redraws of curve.png; more where drawing is slow."
    )
    trackers: Annotated[tuple[Literal["tensorboard", "wandb"], ...], Field(strict=False)] = Field(
        ("tensorboard",), description="Where the same numbers go as well: tensorboard, wandb, both or none ([])."
    )

    @model_validator(mode="before")
    @classmethod
    def _as_written_before(cls, tree: Any) -> Any:
        """Read what older configs say, `tensorboard: true` or `false`."""
        if not isinstance(tree, Mapping) or "tensorboard" not in tree:
            return tree
        if "trackers" in tree or not isinstance(tree["tensorboard"], bool):
            raise ValueError(
                "tensorboard: is now trackers, a list: [tensorboard], [tensorboard, wandb] or []; leave it out"
            )
        rest = {key: value for key, value in tree.items() if key != "tensorboard"}
        return rest | {"trackers": ("tensorboard",) if tree["tensorboard"] else ()}

    @field_validator("trackers", mode="before")
    @classmethod
    def _known_trackers(cls, trackers: Any) -> Any:
        listed = isinstance(trackers, list | tuple) and all(one in TRACKERS for one in trackers)
        if listed and len(set(trackers)) == len(trackers):
            return trackers
        raise ValueError(f"a list of {' and '.join(TRACKERS)}, each at most once; [] for none")


class Config(Section):
    """One run."""

    env: EnvConfig = Field(default_factory=EnvConfig)
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    replay: ReplayConfig = Field(default_factory=ReplayConfig)
    agent: AgentConfig = Field(default_factory=AgentConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    seed: Seed = Field(0, description="The seed everything random in training comes from.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where the networks live.")

    @property
    def has_demonstrations(self) -> bool:
        """Whether it learns from trajectories: in the replay, or by starts along them."""
        return bool(self.replay.demonstrations or self.training.backward_starts)

    @model_validator(mode="after")
    def _clear_rate_is_measured(self) -> Self:
        if self.training.clear_rate is not None and self.evaluation.every_steps is None:
            raise ValueError(
                f"training.clear_rate {self.training.clear_rate} needs evaluations to reach it; evaluation.every_steps "
                "must be a number, not null"
            )
        return self

    @model_validator(mode="after")
    def _episodes_are_counted(self) -> Self:
        others = (self.training.agent_steps, self.training.minutes, self.training.clear_rate)
        if self.training.episodes is not None and self.env.snapshot_probability == 1 and not any(others):
            raise ValueError(
                f"training.episodes {self.training.episodes} counts episodes from a stage's start, and with "
                "env.snapshot_probability 1 none begin there any more; set training.agent_steps or minutes too"
            )
        return self

    @model_validator(mode="after")
    def _fits_into_memory(self) -> Self:
        """Refuse what is possible key by key and impossible together; the replay is checked where it is to be."""
        quantiles = self.network.quantiles
        products = {
            "network.hidden_size x network.quantiles": (self.network.hidden_size * quantiles, MOST_WEIGHTS),
            "agent.batch_size x network.quantiles squared": (self.agent.batch_size * quantiles**2, MOST_COMPARED),
        }
        if self.env.snapshot_probability:
            rewound = self.env.snapshot_rewind_steps * self.env.frame_skip * self.training.envs
            products["env.snapshot_rewind_steps x env.frame_skip x training.envs"] = rewound, MOST_REWOUND
        for keys, (product, most) in products.items():
            if product > most:
                raise ValueError(f"{keys} is {product:,}; must be at most {most:,}")
        return self

    @model_validator(mode="after")
    def _demonstrations_to_update_on(self) -> Self:
        if self.training.demonstration_updates and not self.replay.demonstrations:
            raise ValueError(
                f"training.demonstration_updates {self.training.demonstration_updates} needs replay.demonstrations, a "
                "list of trajectory files; it is empty"
            )
        return self

    @model_validator(mode="after")
    def _room_for_each_env(self) -> Self:
        smallest = self.training.envs * (self.env.frame_stack + self.agent.n_step + 1)
        if self.replay.capacity < smallest:
            raise ValueError(
                f"replay.capacity {self.replay.capacity} must be at least {smallest} for "
                f"{count_text(self.training.envs, 'environment')}: training.envs x (env.frame_stack + agent.n_step + 1)"
            )
        if self.replay.warmup_steps < self.agent.batch_size:
            raise ValueError(
                f"replay.warmup_steps {self.replay.warmup_steps} must be at least agent.batch_size ({self.agent.batch_size})"
            )
        return self
