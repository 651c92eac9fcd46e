"""`python -m sap_bridge`: the department's process. With a command (`preview`, …) the same as `bus-sap`."""

import sys

if __name__ == "__main__":
    if len(sys.argv) > 1:  # a mistyped command must not start a second department
        from sap_bridge.cli import main as ask

        ask()
    else:
        from eventbus.department.run import main

        main("sap_bridge.service:SapBridgeService")
