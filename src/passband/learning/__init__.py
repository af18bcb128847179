"""Networks: their training, checkpoints, memory and evaluation."""
