"""What Python calls: :func:`passband.open` and what it returns."""

from passband.door.experiment import Experiment, open
from passband.door.network import Network
from passband.door.trained_networks import Networks, TrainedNetwork

__all__ = ["Experiment", "Network", "Networks", "TrainedNetwork", "open"]
