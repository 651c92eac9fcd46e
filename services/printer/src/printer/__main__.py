"""`python -m printer`: the department's process."""

from eventbus.department.run import main

if __name__ == "__main__":
    main("printer.service:PrinterService")
