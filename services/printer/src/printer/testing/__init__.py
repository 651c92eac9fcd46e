"""For tests of this department and of the whole shop: a real IPP printer of one's own."""
