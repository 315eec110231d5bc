"""Training of the proposal scorers on the synthetic world."""
