"""Files written whole, progress, devices, figures: what any layer may use."""
