"""Expressions that overflow, cancel or underflow, replaced by ones that do not, before gradients and before code."""
