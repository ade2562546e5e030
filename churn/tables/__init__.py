"""What comes in: the contract of each table, its sources, and the checks of its shape."""
