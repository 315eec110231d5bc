"""Detections of many frames and cameras → the objects behind them; frames that say nothing new left out."""

from data_prep.associate.associator import Associator
from data_prep.associate.config import AssociationConfig
from data_prep.associate.observation import Observation
from data_prep.associate.thin import ThinConfig, thin_frames

__all__ = ["AssociationConfig", "Associator", "Observation", "ThinConfig", "thin_frames"]
