"""The errors of DRS, with the codes and HTTP statuses of botocore's model."""

from typing import Any


class DrsError(Exception):
    """An error that DRS answers with."""

    status = 400

    def __init__(self, message: str, **members: Any) -> None:
        super().__init__(message)
        self.message = message
        self.members = members

    @property
    def code(self) -> str:
        """The error's name in the model."""
        return type(self).__name__


class ValidationException(DrsError):
    """A parameter is not what the model or DRS allows."""


class UninitializedAccountException(DrsError):
    """DRS was never initialised in this account and Region."""


class AccessDeniedException(DrsError):
    """The caller, or DRS on its behalf, may not do this."""

    status = 403


class ResourceNotFoundException(DrsError):
    """There is no such resource in this account and Region."""

    status = 404


class ConflictException(DrsError):
    """The resource is not in a state for this."""

    status = 409


class ServiceQuotaExceededException(DrsError):
    """A quota would be exceeded."""

    status = 402


class NotBuiltException(DrsError):
    """The embedded AWS has no such operation."""
