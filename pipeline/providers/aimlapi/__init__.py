"""AI/ML API, and all that answers as it does: what an answer means, the pictures in it, the account's log."""
