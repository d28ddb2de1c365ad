"""From the user's expression to a rewritten compile graph."""
