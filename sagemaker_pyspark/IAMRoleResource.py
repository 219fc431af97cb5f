"""1.4.5's import path of the role resources."""
from .resources import IAMRole, IAMRoleFromConfig, IAMRoleResource

__all__ = ["IAMRole", "IAMRoleFromConfig", "IAMRoleResource"]
