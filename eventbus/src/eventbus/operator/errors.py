"""What can go wrong for the operator. Each text is one line for a person."""


class OperatorError(Exception):
    """Base: the command did not do what it was asked. Nothing was lost."""


class UnreachableError(OperatorError):
    """Broker or management API do not answer, or refuse the login."""


class MismatchError(OperatorError):
    """The broker has an object with other arguments than the topology wants."""


class BusyError(OperatorError):
    """Another `bus` command works on the same queue."""


class RefusedError(OperatorError):
    """What was asked would lose or delete something, or cannot be done to what is there."""
