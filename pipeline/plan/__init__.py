"""Which images are left to make, and why: decided item by item."""
