"""How far a run may go: what bounds its money and its patience."""
