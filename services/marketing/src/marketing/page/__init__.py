"""Marketing's page: what a browser gets, and the numbers that it asks for."""
