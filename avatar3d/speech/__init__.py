"""Speech: sound to features and phones, text to sound and phones, phones to visemes. Knows no head."""
