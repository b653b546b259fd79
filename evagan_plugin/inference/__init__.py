"""A trained model at work: one utterance, many, and vocoders of others."""
