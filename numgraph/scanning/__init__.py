"""Scans: loops in expressions, made of what a Python function says of one step."""
