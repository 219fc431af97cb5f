"""Response deserializers."""
from .deserializers import *  # noqa: F403
from .deserializers import __all__  # noqa: F401
