"""Every moto internal that the embedded AWS touches: pin moto, and look here when it moves.

What moto lets through and AWS refuses is refused here: AssumeRole against the trust policy, key and
trust policies that name nobody, the name of the DRS service-linked role, the DRS quotas. SSM gets its
inventory, Run Command and the documents that AWS owns.
"""

import copy
import functools
import json
import os
import re
import sys
import threading
import time
import warnings
from typing import Any

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
# No object is moved from memory to a file, which copies of this AWS would share.
os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = str(2**40)

import moto.backend_index
import moto.backends
import moto.core.responses
import moto.iam.models as iam_models
from botocore.exceptions import BotoCoreError
from moto.core.exceptions import JsonRESTError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.routing import get_service_router
from moto.core.serialize import AttributePickerContext, ResponseSerializer, XFormedAttributePicker
from moto.core.utils import get_value
from moto.ec2.exceptions import InvalidInstanceIdError
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix
from moto.iam.exceptions import MalformedPolicyDocument
from moto.iam.models import IAMBackend, iam_backends
from moto.kms.responses import KmsResponse
from moto.moto_server.werkzeug_app import BackendRequest, DomainDispatcherApplication
from moto.servicequotas.responses import ServiceQuotasResponse
from moto.ssm.exceptions import InvalidDocumentContent, InvalidDocumentOperation
from moto.ssm.models import Document, Documents, SimpleSystemManagerBackend
from moto.ssm.responses import SimpleSystemManagerResponse
from moto.sts.exceptions import STSClientError
from moto.sts.models import STSBackend, sts_backends
from moto.sts.responses import TokenResponse
from werkzeug.exceptions import HTTPException

from validator.emulator import authorization

ADMIN_ROLE = "OrganizationAccountAccessRole"

QUOTAS: dict[str, tuple[str, str, float, bool]] = {
    "L-309BACF6": ("ebs", "Snapshots per Region", 100_000, True),
    "L-C1D14A2B": ("drs", "Max Total replicating source servers Per AWS Account", 300, False),
    "L-E28BE5E0": ("drs", "Max Total source servers Per AWS Account", 4000, True),
    "L-D88FAC3A": ("drs", "Concurrent jobs in progress", 20, False),
    "L-B827C881": ("drs", "Max source servers in a single Job", 100, False),
    "L-05AFA8C6": ("drs", "Max source servers in all Jobs", 500, False),
    "L-DD6D028C": ("drs", "Max concurrent Jobs per source server", 1, False),
    "L-0588D03B": ("drs", "Max number of launch actions per resource", 200, False),
    "L-1F3FAE4D": ("drs", "Max number of launch configuration templates per AWS account", 1, False),
    "L-4B0323BD": ("drs", "Max number of source networks per AWS account", 100, True),
}
"""Quotas by code: service, name, default, and whether AWS adjusts it."""

_SERVICE_NAMES = {
    "drs": "AWS Elastic Disaster Recovery",
    "ebs": "Amazon Elastic Block Store (Amazon EBS)",
}

quotas: dict[tuple[str, str, str], float] = {}
"""Quotas set by the control door, by account, Region and code."""

key_policy_delay = 2.0
"""Seconds for which KMS does not see a role that was just created."""

# That a code is not in botocore's model of STS (AWS answers AccessDenied all the same) helps nobody.
warnings.filterwarnings("ignore", message=".*does not match an error shape", category=UserWarning)

_management_account = ""
_role_made: dict[str, float] = {}


def install(management_account: str) -> None:
    """Puts DRS and the refusals into moto; call once, before the first request."""
    global _management_account
    _management_account = management_account
    from validator.emulator import commands, instances
    from validator.emulator.drs import models as drs_models
    from validator.emulator.drs import urls as drs_urls

    package = sys.modules["validator.emulator.drs"]
    sys.modules["moto.drs"] = package
    sys.modules["moto.drs.models"] = drs_models
    sys.modules["moto.drs.urls"] = drs_urls
    moto.backend_index.backend_url_patterns.append(
        ("drs", re.compile(r"https?://drs\.(.+)\.amazonaws\.com"))
    )
    # moto lists its own folder at every request.
    modules = frozenset(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: modules
    # And all members of the class that answers, and tries hundreds of patterns on the host.
    responses: Any = moto.core.responses
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)
    dispatcher: Any = DomainDispatcherApplication
    dispatcher.get_backend_for_host = functools.cache(dispatcher.get_backend_for_host)
    serializer: Any = ResponseSerializer
    serializer.get_value = _member(serializer.get_value)
    drs_models.quota_value = quota_value
    ssm: Any = SimpleSystemManagerResponse
    ssm.describe_instance_information = instances.describe_information
    for method, answer in commands.OPERATIONS.items():
        setattr(ssm, method, answer)
    _install_documents()
    # moto goes through all tags for one resource's, and copies every reservation to find an instance.
    tagged: Any = TaggedEC2Resource
    reservations: Any = InstanceBackend
    tagged.get_tags, reservations.get_instance = _tags_of, _instance
    _install_images()
    moto.core.responses.BaseResponse.access_key_regex = re.compile(
        r"AWS.*(?P<access_key>(?<![A-Z0-9])(?:[A-Z0-9]{20}|[0-9]{12})(?![A-Z0-9]))[:/]"
    )
    iam_models.get_account_id_from = _account_id_from
    IAMBackend._init_aws_policies = _aws_policies(  # type: ignore[method-assign]
        IAMBackend._init_aws_policies
    )
    IAMBackend.__init__ = _with_admin_role(IAMBackend.__init__)  # type: ignore[method-assign]
    IAMBackend.create_role = _checked_role(IAMBackend.create_role)  # type: ignore[method-assign]
    IAMBackend.update_assume_role_policy = _checked_trust(  # type: ignore[method-assign]
        IAMBackend.update_assume_role_policy
    )
    IAMBackend.create_service_linked_role = _service_linked_role(  # type: ignore[method-assign]
        IAMBackend.create_service_linked_role
    )
    TokenResponse.assume_role = _trusted(TokenResponse.assume_role)  # type: ignore[method-assign]
    STSBackend.get_caller_identity = _caller(  # type: ignore[method-assign]
        STSBackend.get_caller_identity
    )
    KmsResponse.create_key = _checked_key(KmsResponse.create_key)  # type: ignore[method-assign]
    KmsResponse.put_key_policy = _checked_key(  # type: ignore[method-assign]
        KmsResponse.put_key_policy
    )
    _install_quotas()


def _member(original: Any) -> Any:
    """A member of what is answered, by the names that moto works out anew for every value.

    They follow from the kind of the value, the member's name and its shape, of which there is one for
    each place in an answer.
    """

    missing = object()

    def get_member(self: Any, value: Any, key: str, shape: Any) -> Any:
        picker = self._value_picker
        if type(picker) is not XFormedAttributePicker:
            return original(self, value, key, shape)
        kind, changes = type(value), picker.response_transformers
        known, asked = shape.__dict__.setdefault("names", {}), (kind, key, len(changes))
        if asked not in known:
            context = AttributePickerContext(obj=value, key=key, shape=shape)
            known[asked] = (
                tuple(dict.fromkeys(picker.get_possible_keys(context))),
                tuple(end for end in changes if end.endswith(key) or key.endswith(end)),
            )
        names, ends = known[asked]
        for name in names:
            found = value.get(name, missing) if kind is dict else get_value(value, name, missing)
            if found is not missing:
                break
        else:
            found = None
        for end in ends:
            if ".".join((*self.path, key)).endswith(end):
                return changes[end](found)
        return found

    return get_member


def quota_value(account: str, region: str, code: str) -> float:
    """The quota as Service Quotas would give it."""
    return quotas.get((account, region, code), QUOTAS[code][2])


def account_of(access_key: str) -> str:
    """The account that an access key belongs to."""
    return str(iam_models.get_account_id_from(access_key))


def rest_operation(service: str, environ: dict[str, Any]) -> str | None:
    """The operation that method and path name in a service of the REST kind, None elsewhere."""
    try:
        operation, _ = get_service_router(service).match(BackendRequest(environ))
    except (BotoCoreError, HTTPException, NotImplementedError):
        return None
    return str(operation.name)


def _account_id_from(access_key: str) -> str:
    """The account of an access key; 12 digits name it themselves.

    moto would make, and fill with AWS's managed policies, the IAM of every partition of every account.
    """
    if re.fullmatch(r"\d{12}", access_key):
        return access_key
    for account_id, partitions in list(iam_backends.items()):
        if any(access_key in each.access_keys for each in list(partitions.values())):
            return account_id
    return DEFAULT_ACCOUNT_ID


def _aws_policies(original: Any) -> Any:
    """Each account has AWS's policies, which moto parses anew for every one of them."""
    parsed: dict[str, list[Any]] = {}

    def policies(self: Any) -> list[Any]:
        if self.region_name not in parsed:
            parsed[self.region_name] = original(self)
        # What differs between accounts are plain attributes, such as how often one is attached.
        copies = [copy.copy(each) for each in parsed[self.region_name]]
        for each in copies:
            each.account_id = self.account_id
        return copies

    return policies


def _with_admin_role(original: Any) -> Any:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.region_name != "aws":
            return
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{_management_account}:root"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        _original_create_role(
            self,
            role_name=ADMIN_ROLE,
            assume_role_policy_document=json.dumps(trust),
            path="/",
            permissions_boundary=None,
            description="",
            tags=[],
            max_session_duration="3600",
        )
        self.attach_role_policy("arn:aws:iam::aws:policy/AdministratorAccess", ADMIN_ROLE)

    return init


_original_create_role: Any = IAMBackend.create_role


def _checked_role(original: Any) -> Any:
    def create_role(self: Any, role_name: str, *args: Any, **kwargs: Any) -> Any:
        _check_trust(kwargs.get("assume_role_policy_document", args[0] if args else ""))
        role = original(self, role_name, *args, **kwargs)
        _role_made[role.arn] = time.monotonic()
        return role

    return create_role


def _checked_trust(original: Any) -> Any:
    def update(self: Any, role_name: str, assume_role_policy: str) -> Any:
        _check_trust(assume_role_policy)
        return original(self, role_name, assume_role_policy)

    return update


def _check_trust(document: str) -> None:
    try:
        named = authorization.principals(document)
    except (ValueError, TypeError, AttributeError) as error:
        raise MalformedPolicyDocument(f"The trust policy is malformed: {error}") from error
    for principal in named:
        if not _exists(principal, delay=0.0):
            raise MalformedPolicyDocument(f"Invalid principal in policy: {principal}")


def _service_linked_role(original: Any) -> Any:
    def create(self: Any, service_name: str, description: str, suffix: str) -> Any:
        if service_name != "drs.amazonaws.com":
            return original(self, service_name, description, suffix)
        name = "AWSServiceRoleForElasticDisasterRecovery"
        if any(role.name == name for role in self.roles.values()):
            from moto.iam.exceptions import InvalidInput

            raise InvalidInput(f"Service role name {name} has been taken in this account.")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": [service_name]},
                    "Action": ["sts:AssumeRole"],
                }
            ],
        }
        return _original_create_role(
            self,
            role_name=name,
            assume_role_policy_document=json.dumps(trust),
            path=f"/aws-service-role/{service_name}/",
            permissions_boundary=None,
            description=description,
            tags=[],
            max_session_duration="3600",
            linked_service=service_name,
        )

    return create


def _caller_arn(access_key: str) -> str:
    if re.fullmatch(r"\d{12}", access_key):
        return f"arn:aws:iam::{access_key}:root"
    for account in list(sts_backends.values()):
        role = account["aws"].get_assumed_role_from_access_key(access_key)
        if role is not None:
            return str(role.arn)
    return f"arn:aws:iam::{iam_models.get_account_id_from(access_key)}:root"


def _caller(original: Any) -> Any:
    def get_caller_identity(self: Any, access_key_id: str, region: str) -> tuple[str, str, str]:
        if re.fullmatch(r"\d{12}", access_key_id):
            return access_key_id, f"arn:aws:iam::{access_key_id}:root", access_key_id
        answer: tuple[str, str, str] = original(self, access_key_id, region)
        return answer

    return get_caller_identity


def _trusted(original: Any) -> Any:
    def assume_role(self: Any) -> Any:
        arn = self._get_param("RoleArn") or ""
        caller = _caller_arn(self.get_access_key())
        refused = STSClientError(
            "AccessDenied",
            f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}",
        )
        found = re.fullmatch(r"arn:aws:iam::(\d{12}):role/(?:.*/)?([^/]+)", arn)
        if found is None:
            raise refused
        backend = iam_backends[found[1]]["aws"]
        role = next((r for r in backend.roles.values() if r.arn == arn), None)
        external_id = self._get_param("ExternalId")
        principal_arn = re.sub(r":sts::(\d+):assumed-role/([^/]+)/.*", r":iam::\1:role/\2", caller)
        context = {"aws:PrincipalArn": principal_arn, "aws:PrincipalAccount": caller.split(":")[4]}
        if external_id is not None:
            context["sts:ExternalId"] = external_id
        if role is None or not authorization.allows(
            role.assume_role_policy_document,
            principal=caller,
            action="sts:AssumeRole",
            context=context,
        ):
            raise refused
        return original(self)

    return assume_role


def _exists(principal: str, *, delay: float) -> bool:
    """True if IAM has this principal, and has had it for `delay` seconds."""
    if principal == "*" or re.fullmatch(r"(\d{12}|arn:aws:iam::\d{12}:root)", principal):
        return True
    found = re.fullmatch(r"arn:aws:iam::(\d{12}):(role|user)/.+", principal)
    if found is None:
        return False
    backend = iam_backends[found[1]]["aws"]
    if found[2] == "user":
        return any(user.arn == principal for user in backend.users.values())
    if not any(role.arn == principal for role in backend.roles.values()):
        return False
    return time.monotonic() - _role_made.get(principal, float("-inf")) >= delay


def _checked_key(original: Any) -> Any:
    def call(self: Any) -> Any:
        policy = self._get_param("Policy")
        if policy is not None:
            try:
                named = authorization.principals(policy)
            except (ValueError, TypeError, AttributeError) as error:
                raise JsonRESTError("MalformedPolicyDocumentException", str(error)) from error
            for principal in named:
                if not _exists(principal, delay=key_policy_delay):
                    raise JsonRESTError(
                        "MalformedPolicyDocumentException",
                        "Policy contains a statement with one or more invalid principals.",
                    )
        return original(self)

    return call


def _tags_of(resource: Any) -> list[dict[str, str]]:
    found = list(resource.ec2_backend.tags.get(resource.id, {}).items())
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource.id), "") if found else ""
    return [
        {"resource_id": resource.id, "key": key, "value": value, "resource_type": kind}
        for key, value in found
    ]


def _instance(backend: Any, identifier: str) -> Any:
    for reservation in list(backend.reservations.values()):
        for instance in reservation.instances:
            if instance.id == identifier:
                return instance
    raise InvalidInstanceIdError(identifier)


def _install_images() -> None:
    """AWS's 1,300 images of a Region are made in an account that looks for one, and in no other.

    The image of an instance is looked up by its id, not looked for in all of them.
    """
    backend: Any = AmiBackend
    make, making, describe = backend._load_amis, threading.RLock(), backend.describe_images

    def images(self: Any) -> dict[str, Any]:
        with making:
            if not self._has_images:
                self._has_images = True
                make(self)
            found: dict[str, Any] = self._images
            return found

    def begin(self: Any, none: dict[str, Any]) -> None:
        self._images, self._has_images = none, False

    def described(self: Any, *args: Any, **kwargs: Any) -> Any:
        match (args, kwargs):
            case ((), {"filters": {"image-id": str(found), **others}, **more}) if not (
                others or more or set(found) & set("*?[")
            ):
                return [self.amis[found]] if found in self.amis else []
        return describe(self, *args, **kwargs)

    backend.amis, backend._load_amis = property(images, begin), lambda self: None
    backend.describe_images = described


def _install_documents() -> None:
    from validator.emulator import documents

    backend: Any = SimpleSystemManagerBackend
    document: Any = Document
    begin, make = backend.__init__, document.__init__

    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        if self.document_type == "Command" and self.schema_version == "2.2":
            refused = documents.refusal(self.content_json)
            if refused is not None:
                raise InvalidDocumentContent(refused)
            self.platform_types = documents.platforms(self.content_json)

    def with_owned(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        for name, content in documents.owned().items():
            made = document(
                account_id="Amazon",
                name=name,
                version_name="",
                content=json.dumps(content),
                document_type="Command",
                document_format="JSON",
                requires=[],
                attachments=[],
                target_type="",
            )
            self._documents[name] = Documents(made)

    def own_only(original: Any) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            name = str(kwargs["name"])
            if name in documents.owned() or name.rpartition("/")[2] in documents.owned():
                raise InvalidDocumentOperation(f"{name} is owned by Amazon.")
            return original(self, *args, **kwargs)

        return call

    document.__init__, backend.__init__ = checked, with_owned
    for method in (
        "delete_document",
        "modify_document_permission",
        "update_document",
        "update_document_default_version",
    ):
        setattr(backend, method, own_only(getattr(backend, method)))


def _install_quotas() -> None:
    def quota(account: str, region: str, code: str, *, default: bool) -> dict[str, Any]:
        service, name, value, adjustable = QUOTAS[code]
        return {
            "ServiceCode": service,
            "ServiceName": _SERVICE_NAMES[service],
            "QuotaArn": f"arn:aws:servicequotas:{region}:{account}:{service}/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": value if default else quota_value(account, region, code),
            "Unit": "None",
            "Adjustable": adjustable,
            "GlobalQuota": False,
        }

    def wanted(self: Any) -> tuple[str, str]:
        params = json.loads(self.body or "{}")
        return str(params.get("ServiceCode")), str(params.get("QuotaCode"))

    def list_quotas(default: bool, original: Any) -> Any:
        def call(self: Any) -> Any:
            service, _ = wanted(self)
            if service not in _SERVICE_NAMES and original is not None:
                return original(self)
            if service not in _SERVICE_NAMES:
                raise JsonRESTError("NoSuchResourceException", f"no quotas of {service}")
            found = [
                quota(self.current_account, self.region, code, default=default)
                for code, (of, *_) in QUOTAS.items()
                if of == service
            ]
            return json.dumps({"Quotas": found})

        return call

    def get_quota(default: bool, original: Any) -> Any:
        def call(self: Any) -> Any:
            service, code = wanted(self)
            if service not in _SERVICE_NAMES and original is not None:
                return original(self)
            if code not in QUOTAS or QUOTAS[code][0] != service:
                raise JsonRESTError("NoSuchResourceException", f"no quota {code} of {service}")
            found = quota(self.current_account, self.region, code, default=default)
            return json.dumps({"Quota": found})

        return call

    response: Any = ServiceQuotasResponse
    response.list_aws_default_service_quotas = list_quotas(
        True, response.list_aws_default_service_quotas
    )
    response.list_service_quotas = list_quotas(False, None)
    response.get_service_quota = get_quota(False, response.get_service_quota)
    response.get_aws_default_service_quota = get_quota(True, None)
