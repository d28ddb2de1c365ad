"""Profiles: what calls of a function take, by phase and thread. Functions that are not profiled have no part in it."""
