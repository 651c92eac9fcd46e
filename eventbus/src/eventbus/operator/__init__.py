"""The operator's tools: the `bus` command line, on pika."""
