"""Whose connection has to go when there is no place left, or when it takes too long."""

import pytest
from eventbus.open_connections import OpenConnections


class Server:
    def __init__(self, count_max: int = 3) -> None:
        self.now = 0.0
        self.ended: list[str] = []
        self.open = OpenConnections[str](
            self.ended.append, count_max=count_max, request_s=10, answer_s=60, clock=lambda: self.now
        )

    def take(self, *names: str) -> None:
        for name in names:
            self.open.make_room()
            self.open.awaits_request(name)
            self.now += 1


@pytest.fixture
def server() -> Server:
    return Server()


def test_new_connection_takes_the_place_of_the_one_that_waits_longest(server: Server) -> None:
    server.take("a", "b", "c", "d", "e")
    assert server.ended == ["a", "b"]
    assert len(server.open) == 3


def test_connection_that_was_just_answered_waits_anew(server: Server) -> None:
    server.take("a", "b", "c")
    server.open.works("a")
    server.open.answers("a")
    server.open.awaits_request("a")
    server.take("d")
    assert server.ended == ["b"]


def test_slow_reader_goes_only_where_no_request_is_awaited(server: Server) -> None:
    server.take("a", "b", "c")
    server.open.answers("a")
    server.open.answers("b")
    server.take("d", "e")
    assert server.ended == ["c", "d"]
    server.open.works("e")
    server.take("f")
    assert server.ended == ["c", "d", "a"]


def test_who_waits_for_us_stays(server: Server) -> None:
    server.take("a", "b", "c")
    for name in "abc":
        server.open.works(name)
    server.now += 1000
    server.open.end_overdue()
    server.take("d")
    assert server.ended == []


def test_more_than_there_are_places_for_were_in_work_all_that_are_too_many_go(server: Server) -> None:
    for name in "abcde":
        server.take(name)
        server.open.works(name)
    for name in "abcde":
        server.open.awaits_request(name)
    server.take("f")
    assert server.ended == ["a", "b", "c"]


def test_request_and_answer_have_their_time(server: Server) -> None:
    server.take("a", "b")
    server.open.answers("b")
    server.now = 10.5
    server.open.end_overdue()
    assert server.ended == ["a"]
    server.now = 70
    server.open.end_overdue()
    assert server.ended == ["a", "b"]
    assert len(server.open) == 0


def test_closed_connection_frees_its_place(server: Server) -> None:
    server.take("a", "b", "c")
    server.open.closed("b")
    server.take("d")
    assert server.ended == []
