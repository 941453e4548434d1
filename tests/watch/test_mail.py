"""What viewers ask for between two frames: of each kind the last."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mario_rl.watch.mail import GIVE_BACK, Mail
from mario_rl.watch.messages import Message, Pad, SetCheckpoint, SetProtocol, SetSaliency, SetSpeed, SetStage, Simple

HELD = Pad(do="pad", held=("right",))
KINDS = 8  # pause, play and step are one

messages = st.one_of(
    st.builds(Simple, do=st.sampled_from(["pause", "play", "step", "restart"])),
    st.builds(SetSpeed, do=st.just("speed"), speed=st.sampled_from([0.5, 1.0, 8.0])),
    st.builds(SetStage, do=st.just("stage"), stage=st.sampled_from(["1-1", "1-2"])),
    st.builds(SetProtocol, do=st.just("protocol"), protocol=st.sampled_from(["greedy", "sticky"])),
    st.builds(SetCheckpoint, do=st.just("checkpoint"), index=st.integers(0, 3)),
    st.builds(SetSaliency, do=st.just("saliency"), on=st.booleans()),
    st.sampled_from([HELD, GIVE_BACK]),
)


def settings(obeyed: list[Message]) -> dict[str, Any]:
    """What is set once all of these messages have been obeyed, one after the other."""
    done: dict[str, Any] = {}
    for message in obeyed:
        done["go" if message.do in ("pause", "play", "step") else message.do] = message
    return done


@given(st.lists(st.tuples(messages, st.integers(0, 3)), max_size=60))
def test_what_is_handed_over_comes_to_the_same_as_all_that_was_asked_for_and_is_bounded(asked):
    mail = Mail()
    for message, sender in asked:
        mail.put(message, sender)
        assert len(mail) <= KINDS
    taken = mail.take()
    assert settings(taken) == settings([message for message, _ in asked])
    last = [max(index for index, (one, _) in enumerate(asked) if one == message) for message in taken]
    assert last == sorted(last)  # in the order of the last asking
    assert mail.take() == []


def test_a_viewer_who_leaves_gives_back_the_pad_it_holds():
    mail = Mail()
    mail.put(HELD, "one")
    mail.take()
    mail.leave("another")
    assert mail.take() == []
    mail.leave("one")
    assert mail.take() == [GIVE_BACK]


def test_a_viewer_who_leaves_keeps_the_pad_from_nobody_who_has_taken_it_since():
    mail = Mail()
    mail.put(HELD, "one")
    mail.put(HELD, "another")
    mail.leave("one")
    assert mail.take() == [HELD]
