"""What a call takes, and why: a model of the generated code's costs on this machine. It only reads; nothing that is
compiled depends on it."""
