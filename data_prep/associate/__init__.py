"""Association: observations of many frames and cameras become objects; frames that show nothing new are left out."""

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from data_prep.associate.associator import Associator as Associator
    from data_prep.associate.config import AssociationConfig as AssociationConfig
    from data_prep.associate.config import ThinConfig as ThinConfig
    from data_prep.associate.observation import Association as Association
    from data_prep.associate.observation import Observation as Observation
    from data_prep.associate.observation import observe as observe
    from data_prep.associate.thin import thin_frames as thin_frames

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Association": "data_prep.associate.observation",
        "AssociationConfig": "data_prep.associate.config",
        "Associator": "data_prep.associate.associator",
        "Observation": "data_prep.associate.observation",
        "ThinConfig": "data_prep.associate.config",
        "observe": "data_prep.associate.observation",
        "thin_frames": "data_prep.associate.thin",
    },
)
