"""`python -m sap_bridge`: the department's process."""

from eventbus.department.run import main

if __name__ == "__main__":
    main("sap_bridge.service:SapBridgeService")
