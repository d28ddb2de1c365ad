"""Looking inside a compiled function: one record of what is known about it, and the faces drawn from that record."""
