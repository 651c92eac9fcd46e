"""Leases of processes that died on this machine are known to be void; of others nobody can tell."""

import os
import subprocess
import sys

import eventlet
import pytest
from eventbus.department.owner import is_gone, new_owner, process_owner
from eventlet.event import Event as Signal


def an_ended_owner() -> str:
    program = "from eventbus.department.owner import new_owner; print(new_owner())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_living_process_is_not_gone() -> None:
    assert not is_gone(new_owner())


def test_ended_process_is_gone() -> None:
    assert is_gone(an_ended_owner())


def test_ended_worker_of_a_living_process_is_gone() -> None:
    waits = Signal()
    owners: list[str] = []

    def worker() -> None:
        owners.append(new_owner())
        waits.wait()

    thread = eventlet.spawn(worker)
    eventlet.sleep(0)
    assert not is_gone(owners[0])
    waits.send(None)
    thread.wait()
    assert is_gone(owners[0])


def test_owner_that_lives_with_its_process_outlives_the_greenlet_that_named_it() -> None:
    assert not is_gone(eventlet.spawn(process_owner).wait())


def test_other_process_under_the_same_pid_is_another_owner() -> None:
    machine, _, started, random = an_ended_owner().split("/")
    assert is_gone(f"{machine}/{os.getpid()}/{int(started) + 1}/{random}")


@pytest.mark.parametrize("owner", [None, "", "somebody", "0123456789abcdef/1/2/x", "a/b/c/d/e", "//-/"])
def test_owner_of_another_machine_may_be_alive(owner: str | None) -> None:
    assert not is_gone(owner)


def test_owner_fits_the_ledgers_column() -> None:
    assert len(new_owner()) <= 64
    assert len(process_owner()) <= 64
    assert new_owner() != new_owner()
