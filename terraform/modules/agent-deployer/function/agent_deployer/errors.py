"""What can go wrong, by what its reader can do about it."""


class DeployerError(Exception):
    """A deployment cannot go on."""


class RequestError(DeployerError):
    """The request is not one that this estate accepts; whoever made it must change it."""


class BusyError(DeployerError):
    """Somebody else works on the deployment."""


class CallError(DeployerError):
    """AWS refused a call. `code` is AWS's own; the message names account, Region and operation.

    `uncertain` is true if the call may have taken effect all the same.
    """

    def __init__(self, message: str, code: str, *, uncertain: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.uncertain = uncertain


class TransientError(CallError):
    """AWS could not answer now: the same step made again may succeed. The state machine retries it."""
