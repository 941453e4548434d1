"""uvicorn's WebSocket protocol, with bounds to what somebody hostile can have it keep or log."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

MOST_FRAGMENTS = 16  # of one message; browsers send ours in one piece


class BoundedSocket(WebSocketsSansIOProtocol):
    """Pings are answered only as fast as the answers are read, messages come in few pieces, and text is UTF-8.

    A browser that is not there any more, and closed nothing, is let go at once: its place and its pad are free.
    """

    def keepalive_timeout(self) -> None:
        """Give up on somebody who answers no ping: what waits to be sent would keep the connection for long."""
        super().keepalive_timeout()
        self.transport.abort()

    def handle_ping(self) -> None:
        """Answer, unless what was sent before is still waiting to be read; the next ping is answered then."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # the answer, dropped

    def handle_cont(self, event: Frame) -> None:
        """Take a piece of a message."""
        if len(self.frames) < MOST_FRAGMENTS:
            super().handle_cont(event)
        else:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "too many pieces")

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message on."""
        if self.curr_msg_data_type == "text" and not _is_text(b"".join(self.frames)):
            self._fail(CloseCode.INVALID_DATA, "not UTF-8")
        else:
            super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        """Send what the application answers."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # it was refused, in full: nothing that uvicorn would have to complain of

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.frames = []
        if not self.close_sent:
            self.conn.fail(code, reason)
            self.handle_parser_exception()


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
