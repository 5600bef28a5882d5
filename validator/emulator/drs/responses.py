"""Requests to `drs` translated to its backend and back, by botocore's own model of the service."""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import parse_qs

from botocore.model import StructureShape
from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import BaseResponse
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

from validator.emulator.drs import shapes
from validator.emulator.drs.exceptions import (
    AccessDenied,
    DRSError,
    NotImplementedHere,
    UnknownOperation,
    Validation,
)
from validator.emulator.drs.models import DRSBackend, drs_backends, paged

Request = Mapping[str, Any]
# A body is an object, or the text of one.
Body = dict[str, Any] | str
Handler = Callable[[DRSBackend, Any], Body]


class DRSResponse(BaseResponse):
    """One request to `drs` and its answer, always JSON."""

    use_raw_body = True

    def __init__(self) -> None:
        super().__init__(service_name="drs")

    def call_action(self) -> TYPE_RESPONSE:
        """The status, headers and body of the answer."""
        try:
            status, headers, body = self._answer()
        except DRSError as error:
            status, headers, body = error_response(error)
        headers["Content-Type"] = "application/json"
        headers["x-amzn-requestid"] = secrets.token_hex(16)
        return status, headers, body

    def _answer(self) -> tuple[int, dict[str, str], str]:
        name = self._get_action_from_method_and_request_uri(self.normalized_request)
        if not name:
            raise UnknownOperation(f"drs has no operation {self.method} {self.path[:256]}.")
        try:
            self._authenticate_and_authorize_normal_action("*")
        except HTTPException as error:
            raise AccessDenied(str(getattr(error, "message", error))) from error
        handler = OPERATIONS.get(name)
        if handler is None:
            raise NotImplementedHere(name)
        backends = drs_backends[self.current_account]
        if self.region not in backends:
            raise Validation(f"DRS is not offered in the Region {self.region[:64]}.")
        operation = get_service_model("drs").operation_model(name)
        request: dict[str, Any] = {}
        shape = cast(StructureShape | None, operation.input_shape)
        if shape is not None:
            request = self._request(shape)
            shapes.check(shape, request)
            request = shapes.known(shape, request)
        backend = backends[self.region]
        if name not in _WITHOUT_INITIALIZATION:
            backend.require_initialized()
        body = handler(backend, request)
        status = int(operation.http.get("responseCode", 200))
        if status == 204:
            return status, {}, ""
        if not isinstance(body, str):
            # State may change while it is written, so it is written under the lock.
            with backend.lock:
                body = json.dumps(body)
        return status, {}, body

    def _request(self, shape: StructureShape) -> dict[str, Any]:
        try:
            value = json.loads(self.raw_body or b"{}")
        except (ValueError, RecursionError) as error:
            raise Validation("The body is not JSON.", reason="cannotParse") from error
        if not isinstance(value, dict):
            raise Validation("The body is not a JSON object.", reason="cannotParse")
        query = parse_qs(self.parsed_url.query, keep_blank_values=True)
        for member, member_shape in shape.members.items():
            location = member_shape.serialization.get("location")
            if location is None:
                continue
            value.pop(member, None)
            wire = member_shape.serialization.get("name", member)
            if location == "uri":
                value[member] = self.uri_match[wire]
            elif location == "querystring" and wire in query:
                value[member] = _from_query(member_shape.type_name, query[wire])
        return value


def error_response(error: DRSError) -> tuple[int, dict[str, str], str]:
    """The status, headers and body of a refusal, each member where the model puts it."""
    model = get_service_model("drs")
    headers = {"X-Amzn-ErrorType": error.code, "Content-Type": "application/json"}
    if error.code not in model.shape_names:
        return error.status, headers, json.dumps({"message": error.message, "code": error.code})
    shape = cast(StructureShape, model.shape_for(error.code))
    body = {"message": error.message}
    for name, member in shape.members.items():
        value = error.members.get(name)
        if value is None:
            continue
        if member.serialization.get("location") == "header":
            headers[member.serialization["name"]] = str(value)
        else:
            body[name] = value
    return int(shape.metadata["error"]["httpStatusCode"]), headers, json.dumps(body)


def _from_query(type_name: str, values: list[str]) -> Any:
    if type_name == "list":
        return values
    if type_name in ("integer", "long"):
        digits = values[0].removeprefix("-")
        # A word stays a word, for the check of the model to refuse.
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 20
        return int(values[0]) if is_number else values[0]
    return values[0]


def _initialize(backend: DRSBackend, request: Request) -> Body:
    backend.initialize()
    return {}


def _describe_replication_templates(backend: DRSBackend, request: Request) -> Body:
    wanted = request.get("replicationConfigurationTemplateIDs", [])
    items, more = paged(
        backend.replication_template_list(wanted),
        lambda template: template["replicationConfigurationTemplateID"],
        f"rct/{backend.account_id}/{backend.region_name}/{wanted}",
        request.get("maxResults"),
        request.get("nextToken"),
    )
    return _page("items", items, more)


def _delete_replication_template(backend: DRSBackend, request: Request) -> Body:
    backend.delete_replication_template(request["replicationConfigurationTemplateID"])
    return {}


def _create_launch_template(backend: DRSBackend, request: dict[str, Any]) -> Body:
    return {"launchConfigurationTemplate": backend.create_launch_template(request)}


def _describe_launch_templates(backend: DRSBackend, request: Request) -> Body:
    wanted = request.get("launchConfigurationTemplateIDs", [])
    items, more = paged(
        backend.launch_template_list(wanted),
        lambda template: template["launchConfigurationTemplateID"],
        f"lct/{backend.account_id}/{backend.region_name}/{wanted}",
        request.get("maxResults"),
        request.get("nextToken"),
    )
    return _page("items", items, more)


def _update_launch_template(backend: DRSBackend, request: dict[str, Any]) -> Body:
    return {"launchConfigurationTemplate": backend.update_launch_template(request)}


def _delete_launch_template(backend: DRSBackend, request: Request) -> Body:
    backend.delete_launch_template(request["launchConfigurationTemplateID"])
    return {}


def _describe_source_servers(backend: DRSBackend, request: Request) -> Body:
    items, more = backend.source_servers(
        request.get("filters", {}), request.get("maxResults"), request.get("nextToken")
    )
    token = f',"nextToken":{json.dumps(more)}' if more is not None else ""
    return f'{{"items":[{",".join(items)}]{token}}}'


def _delete_source_server(backend: DRSBackend, request: Request) -> Body:
    backend.delete_source_server(request["sourceServerID"])
    return {}


def _disconnect_source_server(backend: DRSBackend, request: Request) -> Body:
    return backend.describe(backend.disconnect_source_server(request["sourceServerID"]))


def _get_launch_configuration(backend: DRSBackend, request: Request) -> Body:
    return backend.launch_configuration(request["sourceServerID"])


def _get_replication_configuration(backend: DRSBackend, request: Request) -> Body:
    return backend.replication_configuration(request["sourceServerID"])


def _list_extensible(backend: DRSBackend, request: Request) -> Body:
    return _page(
        "items",
        *backend.extensible_servers(
            request["stagingAccountID"], request.get("maxResults"), request.get("nextToken")
        ),
    )


def _create_extended(backend: DRSBackend, request: Request) -> Body:
    server = backend.create_extended_server(request["sourceServerArn"], request.get("tags", {}))
    return {"sourceServer": backend.describe(server)}


def _list_staging_accounts(backend: DRSBackend, request: Request) -> Body:
    return _page(
        "accounts", *backend.staging_accounts(request.get("maxResults"), request.get("nextToken"))
    )


def _describe_snapshots(backend: DRSBackend, request: Request) -> Body:
    return _page("items", *backend.recovery_snapshots(request))


def _none_yet(backend: DRSBackend, request: Request) -> Body:
    # Nothing starts a job here, so there is neither a job nor a recovery instance to show.
    return _page("items", *paged([], str, "none", None, request.get("nextToken")))


def _tags_of(backend: DRSBackend, request: Request) -> Body:
    return {"tags": backend.tags(request["resourceArn"])}


def _tag(backend: DRSBackend, request: Request) -> Body:
    backend.tag(request["resourceArn"], request["tags"])
    return {}


def _untag(backend: DRSBackend, request: Request) -> Body:
    backend.untag(request["resourceArn"], request["tagKeys"])
    return {}


def _page(name: str, items: list[Any], more: str | None) -> dict[str, Any]:
    return {name: items} if more is None else {name: items, "nextToken": more}


OPERATIONS: dict[str, Handler] = {
    "CreateExtendedSourceServer": _create_extended,
    "CreateLaunchConfigurationTemplate": _create_launch_template,
    "CreateReplicationConfigurationTemplate": DRSBackend.create_replication_template,
    "DeleteLaunchConfigurationTemplate": _delete_launch_template,
    "DeleteReplicationConfigurationTemplate": _delete_replication_template,
    "DeleteSourceServer": _delete_source_server,
    "DescribeJobs": _none_yet,
    "DescribeLaunchConfigurationTemplates": _describe_launch_templates,
    "DescribeRecoveryInstances": _none_yet,
    "DescribeRecoverySnapshots": _describe_snapshots,
    "DescribeReplicationConfigurationTemplates": _describe_replication_templates,
    "DescribeSourceServers": _describe_source_servers,
    "DisconnectSourceServer": _disconnect_source_server,
    "GetLaunchConfiguration": _get_launch_configuration,
    "GetReplicationConfiguration": _get_replication_configuration,
    "InitializeService": _initialize,
    "ListExtensibleSourceServers": _list_extensible,
    "ListStagingAccounts": _list_staging_accounts,
    "ListTagsForResource": _tags_of,
    "TagResource": _tag,
    "UntagResource": _untag,
    "UpdateLaunchConfiguration": DRSBackend.update_launch_configuration,
    "UpdateLaunchConfigurationTemplate": _update_launch_template,
    "UpdateReplicationConfiguration": DRSBackend.update_replication_configuration,
    "UpdateReplicationConfigurationTemplate": DRSBackend.update_replication_template,
}
_WITHOUT_INITIALIZATION = frozenset(
    {"InitializeService", "ListTagsForResource", "TagResource", "UntagResource"}
)
