"""Forwards every order to another tool over HTTP: a department of its own, apart from the counting."""
