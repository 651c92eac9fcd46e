"""Acknowledgements: a prefix in one frame, single ones behind a slow handler, never one twice or too many."""

from eventbus.department.acks import Acks
from hypothesis import given
from hypothesis import strategies as st


def test_settled_prefix_is_one_frame_and_the_rest_single() -> None:
    acks = Acks()
    for tag in range(1, 7):
        acks.delivered(tag)
    for tag in (1, 2, 4, 6):
        acks.settle(tag)
    assert list(acks.flush()) == [(2, True), (4, False), (6, False)]
    acks.settle(3)
    assert list(acks.flush()) == [(3, True)]


def test_given_back_is_never_acknowledged() -> None:
    acks = Acks()
    for tag in (1, 2, 3):
        acks.delivered(tag)
    acks.settle(1)
    acks.forget(2)
    acks.settle(3)
    assert acks.pending == 2
    assert list(acks.flush()) == [(3, True)]
    assert len(acks) == 0


@given(st.lists(st.tuples(st.sampled_from(["settle", "forget", "flush"]), st.integers(1, 20)), max_size=60))
def test_broker_hears_of_each_settled_delivery_exactly_once(steps: list[tuple[str, int]]) -> None:
    acks = Acks()
    for tag in range(1, 21):
        acks.delivered(tag)
    open_tags = set(range(1, 21))
    settled: set[int] = set()
    acknowledged: set[int] = set()

    def flush() -> None:
        for tag, multiple in acks.flush():
            covered = {t for t in open_tags if t <= tag} if multiple else {tag}
            assert covered <= settled, "acknowledged what was not settled"
            open_tags.difference_update(covered)
            acknowledged.update(covered)

    for step, tag in steps:
        if step == "settle" and tag in open_tags:
            acks.settle(tag)
            settled.add(tag)
        elif step == "forget" and tag in open_tags and tag not in settled:
            acks.forget(tag)
            open_tags.discard(tag)
        elif step == "flush":
            flush()
    flush()
    assert acknowledged == settled
