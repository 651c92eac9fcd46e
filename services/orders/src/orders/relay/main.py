"""`python -m orders relay`."""

from eventbus.logs import configure
from eventbus.settings import SettingsError, config_path, exit_configuration, load_or_exit

from orders.relay.health import AddressError
from orders.relay.process import run
from orders.relay.settings import RelaySettings


def main() -> int:
    """Relay until SIGTERM; the exit code."""
    settings = load_or_exit(RelaySettings, config_path("orders"))
    configure("orders-relay")
    try:
        return run(settings)
    except AddressError as error:
        exit_configuration(f"relay: health_port: {error}")
    except SettingsError as error:
        exit_configuration(str(error))
