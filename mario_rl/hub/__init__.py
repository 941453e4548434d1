"""Agents shared on the Hugging Face Hub: pushed with a model card and a film, pulled as files from a stranger."""

from mario_rl.hub.pulling import pull
from mario_rl.hub.pushing import Contents, prepare, push, write_to

__all__ = ["Contents", "prepare", "pull", "push", "write_to"]
