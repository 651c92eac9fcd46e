"""What becomes of an order in a commit, and how a commit can fail."""

from typing import NamedTuple


class Found(NamedTuple):
    """The order that stands in the database: this one (`new`), or the one stored earlier under the same key."""

    number: str
    created_at: str
    request_hash: str | None
    new: bool


class KeyReused(NamedTuple):
    """Another order is stored under the same Idempotency-Key."""


class Refused(NamedTuple):
    """The database refuses this row, also alone: a bug of ours, since requests are checked before."""

    reason: str


Answer = Found | KeyReused | Refused


class StoreError(Exception):
    """A commit failed as a whole, because of the surroundings. The text holds no data of orders."""


class StoreUnavailableError(StoreError):
    """The database cannot be reached or takes no writes now. Nothing of the batch is stored, nor will it be."""


class OutcomeUnknownError(StoreError):
    """The commit may or may not have happened. Running the same batch again settles it."""


class RunAgainError(StoreError):
    """The database gave the transaction up (deadlock, time-out). Nothing of the batch is stored."""


class BadRowError(StoreError):
    """A row of the batch is refused. Nothing of the batch is stored."""
