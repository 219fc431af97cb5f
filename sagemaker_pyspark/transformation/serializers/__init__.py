"""Request serializers."""
from .serializers import *  # noqa: F403
from .serializers import __all__  # noqa: F401
