"""Files written whole, progress, devices, figures, tables, what all pages share: what any layer may use."""
