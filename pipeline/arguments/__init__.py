"""What commands have in common: how arguments are read, and what they mean."""
