"""What Python calls: :func:`passband.open` and what it returns."""

from passband.door.experiment import Experiment, Networks, TrainedNetwork, open

__all__ = ["Experiment", "Networks", "TrainedNetwork", "open"]
