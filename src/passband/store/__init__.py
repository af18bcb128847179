"""What jobs have made and keep: exit waves, networks, results, and what these depend on."""
