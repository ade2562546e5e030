"""Learning: the two factors, their calibration, the baselines they must beat, and the metrics that judge them."""
