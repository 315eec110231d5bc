"""Asset factory of the synthetic world: teacher, point encoder, outliers, demo."""
