"""When: cutoffs and their windows, rhythm, eligibility, voice, and the outcomes."""
