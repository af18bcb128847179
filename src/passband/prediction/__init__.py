"""Prediction of Dice for pairs of conditions that were not tested, and scores of predictions."""
