"""`python -m orders rebuild`: publishes the events of stored orders again, after a broker has lost its data."""
