"""Images for networks, formed from exit waves: intensity, noise, normalisation and splits."""
