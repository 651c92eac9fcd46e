"""Leases of processes that died on this machine are known to be void; of others nobody can tell."""

import os
import subprocess
import sys

import pytest
from eventbus.department.owner import is_gone, new_owner


def an_ended_owner() -> str:
    program = "from eventbus.department.owner import new_owner; print(new_owner())"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_living_process_is_not_gone() -> None:
    assert not is_gone(new_owner())


def test_ended_process_is_gone() -> None:
    assert is_gone(an_ended_owner())


def test_other_process_under_the_same_pid_is_another_owner() -> None:
    machine, _, started, random = an_ended_owner().split("/")
    assert is_gone(f"{machine}/{os.getpid()}/{int(started) + 1}/{random}")


@pytest.mark.parametrize("owner", [None, "", "somebody", "0123456789abcdef/1/2/x", "a/b/c/d/e", "//-/"])
def test_owner_of_another_machine_may_be_alive(owner: str | None) -> None:
    assert not is_gone(owner)


def test_owner_fits_the_ledgers_column() -> None:
    assert len(new_owner()) <= 64
    assert new_owner() != new_owner()
