"""The loop program: generated code as typed data, before it is text."""
