"""Images from microscopes: reading files, and preparation for networks."""
