"""Why: what pushes one customer's risk up or down, in numbers, in words, and for whom."""
