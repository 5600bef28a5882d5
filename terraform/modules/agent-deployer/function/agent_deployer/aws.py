"""Calls to AWS whose failure is never silence: every error names account, Region and operation."""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from agent_deployer.errors import CallError, TransientError

Json = dict[str, Any]

Connect = Callable[[str, str, str, bool], Any]
"""Gives a client of a service, in an account and a Region: one that tries each call again, or does not."""

_THROTTLED = {
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "TooManyUpdates",
    "TransactionInProgressException",
}


class Aws:
    """Clients of the estate's accounts, each made once."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._clients: dict[tuple[tuple[str, str, str], bool], Any] = {}

    def call(self, place: tuple[str, str, str], operation: str, **params: Any) -> Json:
        """One call's answer; `place` is service, account and Region. Raises CallError."""
        return self._called(self._client(place), place, operation, params)

    def once(self, place: tuple[str, str, str], operation: str, **params: Any) -> Json:
        """One call's answer, never tried again by itself: for what would then be done twice."""
        return self._called(self._client(place, again=False), place, operation, params)

    @staticmethod
    def _called(client: Any, place: tuple[str, str, str], operation: str, params: Json) -> Json:
        try:
            answer: Json = getattr(client, operation)(**params)
        except (ClientError, BotoCoreError) as error:
            raise _explained(place, operation, error) from error
        return answer

    def pages(
        self, place: tuple[str, str, str], operation: str, key: str, **params: Any
    ) -> Iterator[Json]:
        """Every item of a paginated operation, to its last page. Raises CallError."""
        client = self._client(place)
        try:
            for page in client.get_paginator(operation).paginate(**params):
                if key not in page:
                    service, account, region = place
                    raise CallError(
                        f"Account {account}, {region}: {service} {operation} gave a page without "
                        f"{key}.",
                        "IncompletePage",
                    )
                yield from page[key]
        except (ClientError, BotoCoreError) as error:
            raise _explained(place, operation, error) from error

    def _client(self, place: tuple[str, str, str], *, again: bool = True) -> Any:
        if (place, again) not in self._clients:
            self._clients[place, again] = self._connect(*place, again)
        return self._clients[place, again]


def _explained(place: tuple[str, str, str], operation: str, error: Exception) -> CallError:
    service, account, region = place
    where = f"Account {account}, {region}: {service} {operation}"
    if not isinstance(error, ClientError):
        return TransientError(
            f"{where} got no answer: {error}", type(error).__name__, uncertain=True
        )
    detail = error.response.get("Error", {})
    code = str(detail.get("Code", "Unknown"))
    message = f"{where} was refused: {code}: {detail.get('Message', 'no message')}"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    if status == 429 or "Throttl" in code or code in _THROTTLED:
        return TransientError(message, code)
    if status >= 500:
        return TransientError(message, code, uncertain=True)
    return CallError(message, code)
