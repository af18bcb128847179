"""Families of network architectures. Their files import torch only when a network is built."""
