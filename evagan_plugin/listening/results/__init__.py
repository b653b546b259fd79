"""From votes to a report: statistics, screening, objective metrics, tables, pictures."""
