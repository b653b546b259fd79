"""What a listening test is and who hears what: systems, items, audio, protocols, orders, secrets."""
