"""The HTTP front of the order bus: takes orders, shows how far they are."""
