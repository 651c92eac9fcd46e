"""Counts orders, items and customers."""
