"""`python -m orders gateway | relay | tracker | migrate | rebuild …`: one process of the service, in the foreground."""

import sys

USAGE = "usage: python -m orders gateway | relay | tracker | migrate | rebuild --from TIME …"


def main(arguments: list[str]) -> int:
    """Run that process until it ends; its exit code."""
    # imported by command: the gateway must not import eventlet, and the tracker must import it before all else
    match arguments:
        case ["gateway"]:
            from orders.gateway.main import main as run_gateway

            run_gateway()
        case ["relay"]:
            from orders.relay.main import main as run_relay

            return run_relay() or 0
        case ["tracker"]:
            from eventbus.department.run import main as run_department

            run_department("orders.tracker:Tracker")
        case ["migrate"]:
            from orders.migrate import main as run_migrations

            run_migrations()
        case ["rebuild", *options]:
            from orders.rebuild.command import main as run_rebuild

            return run_rebuild(options)
        case _:
            print(USAGE, file=sys.stderr)  # noqa: T201 - a command line
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
