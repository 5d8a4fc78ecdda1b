"""Looking at what is there, and at what a run would do: nothing here buys anything."""
