"""The synthetic world's teacher: pictures, captions, training, score card."""
