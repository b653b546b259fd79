"""How the tensors of a training are named: training writes these names, checkpoints are read by them."""

GENERATOR = "generator."
"""Begin of the names of the generator's tensors, inside a training."""
AVERAGE = "ema."
"""Begin of the names of the generator's moving average, inside a training."""
AVERAGE_STEPS = f"{AVERAGE}steps.done"
"""Of how many steps the average is: of none, it holds nothing."""
IN_HOST = "gan."
"""Begin of a training's names in a host's checkpoint."""
DISCRIMINATORS = f"{IN_HOST}discriminators."
"""Begin of the names that a host's checkpoint of a whole training has and that of a generator alone has not."""
STATISTICS = ("mel_statistics.values", "mel_statistics.steps.done")
"""Mean, mean of the squares, lowest and highest value of the mels of a training, and of how many steps they are."""
