"""Why a rebuild does not go on. Each text is one line for a person."""


class RebuildError(Exception):
    """Base: what was published so far is published; running it again is safe."""


class RefusedError(RebuildError):
    """It would do something twice, or not reach everybody."""


class AwayError(RebuildError):
    """The broker or the database does not answer."""
