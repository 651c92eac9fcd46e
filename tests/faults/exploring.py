"""Runs a hypothesis test for one seed: the seeds of a run, not the machine's clock, decide what is tried."""

from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def _settings(examples: int, **more: Any) -> settings:
    # no database of failures: a failing seed is repeated by its number
    return settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), **more
    )


def explore(seed: int, examples: int, test: Callable[..., None], **strategies: Any) -> None:
    """Run the test with so many examples of these strategies, by the names of its arguments."""

    def run(**values: Any) -> None:
        test(**values)

    hypothesis.seed(seed)(_settings(examples)(hypothesis.given(**strategies)(run)))()


def explore_machine(seed: int, examples: int, steps: int, machine: type[RuleBasedStateMachine]) -> None:
    """Run that many lives of a state machine, of so many steps at most."""
    hypothesis.seed(seed)(machine)
    run_state_machine_as_test(machine, settings=_settings(examples, stateful_step_count=steps))
