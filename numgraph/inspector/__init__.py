"""Looking inside a compiled function: one record of what is known about it, and what is drawn from that record."""
