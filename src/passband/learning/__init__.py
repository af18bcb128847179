"""Networks: their training, memory and evaluation."""
