"""From the rewritten graph to loops: what is stored, what fuses with what, and where each buffer lies."""
