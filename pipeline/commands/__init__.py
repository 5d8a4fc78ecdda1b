"""One file a command: it opens what it needs, wires it, and closes it."""
