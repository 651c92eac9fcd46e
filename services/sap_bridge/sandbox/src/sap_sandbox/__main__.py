"""`python -m sap_sandbox` is `sap-sandbox`."""

from sap_sandbox.command_line import main

if __name__ == "__main__":
    main()
