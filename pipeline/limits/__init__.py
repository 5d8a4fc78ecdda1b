"""How far a run may go: what bounds its pace, its money and its patience."""
