"""What a run or a command has found, for people and for programs."""
