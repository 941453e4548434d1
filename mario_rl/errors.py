"""The errors a user can cause or must hear about, each one clear line; the command line prints them and exits."""


class UserError(ValueError):
    """Bad input: the message is one line naming the key or file, what was wrong and what is allowed (exit code 2)."""


class ConfigError(UserError):
    """A config file or override that is refused."""


class CheckpointError(UserError):
    """A checkpoint or run directory that cannot be used."""


class FailedError(RuntimeError):
    """Something could not go on as it should: the message is one line for the user (exit code 1)."""


class GameError(FailedError):
    """The emulated game can't go on."""


class StorageError(FailedError):
    """The disk refused a write; whatever was there before is untouched."""


class GoneError(FailedError):
    """A run directory, or a file in it, is not where it was any more: deleted, moved or replaced by somebody else."""


class UnansweredError(FailedError):
    """Something that was waited for does not answer any more."""


class DivergedError(FailedError):
    """Learning ran away: loss or weights are not finite numbers any more; the last checkpoint is from before."""


class MeasurementInterrupted(Exception):
    """A signal came before anything was measured, or in the middle of a measurement, which then counts for nothing."""
