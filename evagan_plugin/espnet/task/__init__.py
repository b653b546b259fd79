"""The stand-alone vocoder task: data, model, training loop, what is checked first."""
