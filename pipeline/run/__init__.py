"""The way of a run: from the plan made once, through each item's turn, to its record and its end."""
