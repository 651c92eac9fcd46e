"""The relay: moves committed events from the outbox to the exchange. Importing it connects to nothing."""
