"""Prints a packing slip for every order."""
