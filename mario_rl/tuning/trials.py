"""The trials of a search, kept by Optuna in `search.db`: what to try next, what became of it, what mattered."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from mario_rl.config import flat_values
from mario_rl.config.search import Choices, Range, Search, Space, space_of, trial_configs
from mario_rl.errors import StorageError, UserError
from mario_rl.files import require_writable

if TYPE_CHECKING:
    import optuna

NAME = "search"  # of the study in the database, as Optuna calls it
MAY_CHANGE = ("base", "trials", "threads")  # `base` is a path; what is in it may not
DIGITS = 4  # of a number that is drawn: nobody needs, or reads, seventeen

TOP = 0.25
"""Share of the trials that count as good for `importance`: Optuna's 0.1 leaves three of thirty."""

FEWEST = 8
"""Trials below which it would be a guess: two good ones, and others to tell them from."""

LOOKS = 10
"""How often in a run it is said how it stands, evenly; at the last of them it is done."""

type Ended = Literal["complete", "pruned", "failed"]
type State = Literal["running"] | Ended


class Trial(NamedTuple):
    """Settings that are tried, and what became of them.

    values: plain values by dotted key. value: of the objective, the last one reported where it was pruned; None where
    there is none. reported: steps at which it was said how it stands.
    """

    number: int
    values: dict[str, Any]
    state: State
    value: float | None
    reported: frozenset[int] = frozenset()


class Trials:
    """All trials of a search. Several threads may use it, one process at a time.

    What is drawn depends on the search's seed, the trial's number and the trials before it; so with one worker the same
    search has the same trials, interrupted or not.

    Args:
        path: of `search.db`; made if it is missing.
        search: what `load_search` read.
        file: where it came from.

    Raises:
        UserError: Optuna is not installed, the file is damaged, of another search or of something else, or can't be
            written.
        StorageError: the disk refused a write, here and in every method.
    """

    def __init__(self, path: Path, search: Search, file: Path) -> None:
        self._path, self._search, self.space = path, search, space_of(search, file)
        self._optuna = import_optuna()
        self._lock = threading.Lock()
        self._asked: dict[int, optuna.Trial] = {}
        require_writable(path)
        kept = _what_it_is(search, file)
        with _refused(path):
            self._storage = storage = self._optuna.storages.RDBStorage(
                f"sqlite:///{path.name}",  # the name alone, of any path: an address has no place for some letters
                engine_kwargs={"creator": partial(sqlite3.connect, path.absolute(), check_same_thread=False)},
            )
            others = {one.study_name for one in self._optuna.get_all_study_summaries(storage)}
            if others - {NAME}:
                raise UserError(f"{path}: not made by mario-rl tune; give it another --out")
            pruner = _pruner(self._optuna, search)
            if not others:
                self._study = self._optuna.create_study(
                    storage=storage, study_name=NAME, direction="maximize", pruner=pruner
                )
                self._study.set_user_attr("search", kept)
            self._study = self._optuna.load_study(storage=storage, study_name=NAME, pruner=pruner)
            before = self._study.user_attrs.get("search", kept)
            frozen = self._study.get_trials(deepcopy=False)
        if different := [key for key in sorted(before.keys() | kept.keys()) if before.get(key) != kept.get(key)]:
            was, now = (json.dumps(one.get(different[0])) for one in (before, kept))
            raise UserError(
                f"{path}: of another search, {different[0]} was {was} there and is {now} here; give it another --out, "
                "or the search its settings back"
            )
        trials = [self._read(one) for one in frozen]
        left = max(0, search.trials - sum(one.state in ("complete", "pruned") for one in trials))
        self._open = [one.number for one in trials if one.state == "running"][:left]
        self._new = left - len(self._open)

    @property
    def left(self) -> int:
        """How many trials are to be begun or gone on with."""
        with self._lock:
            return len(self._open) + self._new

    def all(self) -> list[Trial]:
        """List all trials, in the order in which they were begun."""
        with self._lock, _unwritten(self._path):
            return [self._read(one) for one in self._study.get_trials(deepcopy=False)]

    def next(self) -> Trial | None:
        """Go on with a trial that was interrupted, else draw the settings of a new one; None once there are enough."""
        with self._lock, _unwritten(self._path):
            if self._open:
                trial = self._again(self._open.pop(0))
            elif self._new:
                self._new -= 1
                self._study.sampler = self._sampler(len(self._study.get_trials(deepcopy=False)))
                trial = self._study.ask()
            else:
                return None
            for key, one in self.space.items():  # what an interrupted one has drawn already stays
                _suggest(trial, key, one)
            self._asked[trial.number] = trial
            return self._read(self._study.get_trials(deepcopy=False)[trial.number])

    def report(self, number: int, step: int, value: float) -> bool:
        """Say how a trial stands at a step, counted from 1; returns whether to prune it."""
        with self._lock, _unwritten(self._path):
            self._asked[number].report(value, step)
            return self._asked[number].should_prune()

    def tell(self, number: int, state: Ended, value: float | None = None) -> None:
        """Say what became of a trial; a value if it is complete. One that failed does not count as tried."""
        states = self._optuna.trial.TrialState
        told = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}
        with self._lock, _unwritten(self._path):
            self._study.tell(number, value, state=told[state])

    def importances(self) -> dict[str, float]:
        """Say how much each key matters for being among the best quarter of the trials, the most first.

        That is PED-ANOVA (Watanabe et al. 2023), which asks only for each trial whether it is; what was pruned is not.
        Shares that sum to 1; empty below FEWEST trials.
        """
        with self._lock, _unwritten(self._path):
            frozen = [one for one in self._study.get_trials(deepcopy=False) if one.state.name in ("COMPLETE", "PRUNED")]
        values = [one.value for one in frozen if one.state.name == "COMPLETE"]
        if len(frozen) < FEWEST or len(set(values)) < 2:
            return {}
        below = min(values) - 1.0
        ranked = self._optuna.create_study(direction="maximize")
        for one in frozen:
            value = one.value if one.state.name == "COMPLETE" else below
            ranked.add_trial(self._optuna.create_trial(params=one.params, distributions=one.distributions, value=value))
        evaluator = self._optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP)
        shares = self._optuna.importance.get_param_importances(ranked, evaluator=evaluator)
        return {key: float(share) for key, share in shares.items()}

    def close(self) -> None:
        """Let go of the file."""
        with _unwritten(self._path):
            self._storage.remove_session()
            self._storage.engine.dispose()

    def _again(self, number: int) -> optuna.Trial:
        self._study.sampler = self._sampler(number)
        study_id = self._storage.get_study_id_from_name(NAME)
        trial: optuna.Trial = self._optuna.Trial(
            self._study, self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        )
        return trial

    def _sampler(self, number: int) -> Any:
        """Make the sampler of one trial: seeded by its number, so that a search gone on with repeats no draw."""
        seed = int(np.random.SeedSequence([self._search.seed, number]).generate_state(1)[0])
        if self._search.sampler == "random":
            return self._optuna.samplers.RandomSampler(seed=seed)
        return self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=self._search.startup_trials)

    def _read(self, frozen: optuna.trial.FrozenTrial) -> Trial:
        states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        return Trial(
            frozen.number,
            decode(self.space, frozen.params),
            states.get(frozen.state.name, "running"),
            frozen.value,
            frozenset(frozen.intermediate_values),
        )


def decode(space: Space, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what Optuna drew into plain values for a config: numbers of a few digits, choices from their JSON."""
    return {key: _decoded(one, drawn[key]) for key, one in space.items() if key in drawn}


def _decoded(one: Range | Choices, drawn: Any) -> Any:
    if not isinstance(one, Range):
        return json.loads(drawn)
    return int(drawn) if one.whole else float(min(max(float(f"{drawn:.{DIGITS}g}"), one.low), one.high))


def _suggest(trial: optuna.Trial, key: str, one: Range | Choices) -> None:
    if not isinstance(one, Range):
        trial.suggest_categorical(key, [json.dumps(value) for value in one])  # a database keeps lists as text alone
    elif one.whole:
        trial.suggest_int(key, int(one.low), int(one.high), log=one.log)
    else:
        trial.suggest_float(key, one.low, one.high, log=one.log)


def _pruner(optuna: Any, search: Search) -> Any:
    steps = LOOKS * len(search.seeds)
    if search.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=steps)
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=search.startup_trials, n_warmup_steps=LOOKS // 3)
    return optuna.pruners.NopPruner()


def _what_it_is(search: Search, file: Path) -> dict[str, Any]:
    """List all that decides what a trial is and how it is judged, by key, as JSON keeps it."""
    (common,) = trial_configs(search, file, [{}])
    asked = {
        key: value for key, value in search.model_dump(mode="json").items() if key not in (*MAY_CHANGE, "settings")
    }
    values = {f"config {key}": value for key, value in flat_values(common).items() if key not in search.space}
    kept: dict[str, Any] = json.loads(json.dumps({**values, **asked}))
    return kept


def import_optuna() -> Any:
    """Import Optuna, and let it say nothing of its own.

    Raises:
        UserError: it is not installed; says what to do.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError('mario-rl tune: Optuna is not installed; pip install "mario-rl[tune]"') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Say of what goes wrong here that the file can't be used."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"{path}: can't be read as the database of a search ({_reason(error)}); it is as it was. Give the search "
            "another --out, or move the file away: its runs are kept, and taken where they are the same"
        ) from error


@contextmanager
def _unwritten(path: Path) -> Iterator[None]:
    """Say of what goes wrong here that the file could not be written."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise StorageError(
            f"{path}: could not be read or written ({_reason(error)}); go on with the same command once it can be"
        ) from error


def _reason(error: BaseException) -> str:
    """Say in a line what the database said, which is what the exceptions around it come from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(getattr(error, "orig", None) or error).splitlines()[0]
