"""What viewers ask for between two frames: of each kind of message the last, however many there were."""

from __future__ import annotations

import threading

from mario_rl.watch.messages import Message, Pad, Simple

GIVE_BACK = Pad(do="pad", held=None)


class Mail:
    """Messages of all viewers, merged as they come, so that there are never more than there are kinds.

    Each kind sets one thing, which the last message has the say over; pausing, playing and stepping are one. What is
    dropped would have been undone before the next frame.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Message] = {}
        self._at_the_pad: object = None
        self._lock = threading.Lock()

    def put(self, message: Message, sender: object) -> None:
        """Take a message; it stands behind all others, and in the place of an earlier one of its kind."""
        with self._lock:
            if isinstance(message, Pad):
                self._at_the_pad = None if message.held is None else sender
            kind = _kind(message)
            self._waiting.pop(kind, None)
            self._waiting[kind] = message

    def leave(self, sender: object) -> None:
        """Give the pad back to the agent if it is this viewer, who has gone, that holds it."""
        if self._at_the_pad is sender:
            self.put(GIVE_BACK, sender)

    def take(self) -> list[Message]:
        """Hand over what there is, in the order of the last asking."""
        with self._lock:
            taken, self._waiting = list(self._waiting.values()), {}
        return taken

    def __len__(self) -> int:
        return len(self._waiting)


def _kind(message: Message) -> str:
    return "go" if isinstance(message, Simple) and message.do != "restart" else message.do
