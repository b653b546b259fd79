"""What a vocoder is worth: objective metrics, costs, spectrograms, reports."""
