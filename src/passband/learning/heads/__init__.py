"""The package's heads, which find single particles in further outputs of networks."""
