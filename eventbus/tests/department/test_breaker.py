"""The breaker as a state machine with a clock of the test's own."""

from eventbus.department.breaker import Breaker, Limits


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(Limits(failures=2, permanents=3, open_s=5, open_max_s=15), clock)
    breaker.learn("failure", "away", probe=False)
    breaker.learn("failure", "away", probe=False)
    return breaker


def half_opened(clock: Clock) -> Breaker:
    breaker = opened(clock)
    clock.now = breaker.opens_until
    assert breaker.elapsed()
    breaker.probe_started()
    assert breaker.state == "probing"
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(Limits(failures=2), Clock())
    assert not breaker.learn("failure", "x", probe=False)
    breaker.learn("success", None, probe=False)
    assert not breaker.learn("failure", "x", probe=False)
    assert breaker.learn("failure", "x", probe=False)
    assert breaker.state == "open"


def test_it_stays_open_for_its_time() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 4.9
    assert not breaker.elapsed()
    clock.now = 5.0
    assert breaker.elapsed()
    assert breaker.state == "half-open"


def test_probe_that_succeeds_closes_it_and_forgets() -> None:
    breaker = half_opened(Clock())
    breaker.learn("success", None, probe=True)
    assert breaker.closed
    assert not breaker.learn("failure", "x", probe=False)


def test_probe_that_fails_opens_it_twice_as_long_up_to_a_bound() -> None:
    clock = Clock()
    breaker = opened(clock)
    for expected in (10, 15, 15):
        clock.now = breaker.opens_until
        breaker.elapsed()
        breaker.probe_started()
        breaker.learn("failure", "x", probe=True)
        assert breaker.opens_until - clock.now == expected


def test_old_worker_that_ends_well_does_not_close_it() -> None:
    breaker = opened(Clock())
    breaker.learn("success", None, probe=False)
    assert breaker.state == "open"


def test_lost_probe_makes_way_for_another() -> None:
    breaker = half_opened(Clock())
    breaker.probe_lost()
    assert breaker.state == "half-open"


def test_probe_that_told_nothing_makes_way_for_another_after_a_pause() -> None:
    clock = Clock()
    breaker = half_opened(clock)
    breaker.learn("neutral", None, probe=True)
    assert (breaker.state, breaker.opens_until - clock.now) == ("open", 5)


def test_probe_waits_as_long_as_the_target_asks() -> None:
    clock = Clock()
    breaker = half_opened(clock)
    breaker.learn("neutral", None, probe=True, retry_after_s=60)
    assert (breaker.state, breaker.opens_until - clock.now) == ("open", 60)


def test_blocked_opens_at_once() -> None:
    breaker = Breaker(Limits(), Clock())
    assert breaker.learn("blocked", "login refused", probe=False)
    assert (breaker.state, breaker.reason) == ("open", "login refused")


def test_permanents_in_a_row_open_it_and_one_success_between_does_not() -> None:
    breaker = Breaker(Limits(permanents=3), Clock())
    for signal in ("permanent", "permanent", "success", "permanent", "permanent"):
        assert not breaker.learn(signal, None, probe=False)
    assert breaker.learn("permanent", None, probe=False)
    assert breaker.cause == "permanent"


def test_permanent_answer_to_a_probe_closes_what_failures_opened() -> None:
    breaker = half_opened(Clock())
    breaker.learn("permanent", None, probe=True)
    assert breaker.closed


def test_permanent_answer_to_a_probe_keeps_open_what_permanents_opened() -> None:
    clock = Clock()
    breaker = Breaker(Limits(permanents=1), clock)
    breaker.learn("permanent", "mapping", probe=False)
    clock.now = breaker.opens_until
    breaker.elapsed()
    breaker.probe_started()
    breaker.learn("permanent", "mapping", probe=True)
    assert breaker.state == "open"


def test_process_that_was_just_started_does_not_know_that_its_target_answers() -> None:
    breaker = Breaker(Limits(failures=2), Clock())
    breaker.learn("failure", "away", probe=False)
    assert breaker.closed
    assert not breaker.target_answers
    breaker.learn("success", None, probe=False)
    assert breaker.target_answers


def test_target_that_was_given_up_answers_when_a_probe_succeeds() -> None:
    breaker = half_opened(Clock())
    assert not breaker.target_answers
    breaker.learn("success", None, probe=True)
    assert breaker.target_answers
