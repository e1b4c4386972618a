"""Makes motions: from sound, words, other motions, and nothing at all."""
