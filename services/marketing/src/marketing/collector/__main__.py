"""`python -m marketing.collector`: the department's process, with the `config.yaml` beside this file."""

from eventbus.department.run import load_settings, main

from marketing.collector.service import CollectorService

if __name__ == "__main__":
    main("marketing.collector.service:CollectorService", load_settings(CollectorService, "marketing.collector"))
