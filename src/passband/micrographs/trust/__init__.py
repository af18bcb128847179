"""Says whether a segmented image can be trusted."""
