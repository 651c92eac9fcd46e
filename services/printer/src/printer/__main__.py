"""`python -m printer`: the department's process."""

import argparse

from eventbus.department.run import main

if __name__ == "__main__":
    # a mistyped command must not start a second department
    argparse.ArgumentParser("python -m printer", description="Runs the printer department until SIGTERM.").parse_args()
    main("printer.service:PrinterService")
