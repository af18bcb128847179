"""Published networks: a folder with a network, its description and its card, for use elsewhere."""
