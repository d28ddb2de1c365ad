"""Compiled code and the memory it works in."""
