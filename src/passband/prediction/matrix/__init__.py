"""Predicts the matrix of mean Dice, and how well."""
