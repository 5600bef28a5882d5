"""The estate as the deployer knows it: its accounts, how each is entered, and where records are kept."""

import json
from dataclasses import dataclass

from agent_deployer.errors import DeployerError

SAME_ACCOUNT_DOCUMENT = "AWSDisasterRecovery-InstallDRAgentOnInstance"
"""AWS's own document; it has no parameter for an account."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is fixed for one environment.

    `external_ids` holds the external id of each account's orchestration role, by account id: only
    these accounts are ever entered. `account_id` is the orchestration account, in whose recovery
    Region the table and the state machine are.
    """

    account_id: str
    environment: str
    external_ids: dict[str, str]
    recovery_region: str
    source_region: str
    target_account_id: str

    @property
    def table(self) -> str:
        """The name of the table of deployments."""
        return f"drs-agent-deployments-{self.environment}"

    @property
    def state_machine_arn(self) -> str:
        """The state machine's ARN."""
        return (
            f"arn:aws:states:{self.recovery_region}:{self.account_id}:stateMachine:"
            f"drs-agent-deployer-{self.environment}"
        )

    def execution_arn(self, name: str) -> str:
        """The state machine's execution of a name."""
        return f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"

    @property
    def cross_account_document(self) -> str:
        """The document of module `cross-account-agent-document`."""
        return f"DRS-InstallAgentIntoAccount-{self.environment}"

    def role_arn(self, account_id: str) -> str:
        """The orchestration role of an account."""
        return f"arn:aws:iam::{account_id}:role/DRSOrchestrationRole-{self.environment}"


def parse(text: str) -> Settings:
    """Settings from their JSON; raises DeployerError for anything that is not whole."""
    try:
        settings = Settings(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise DeployerError(f"The function's SETTINGS are not whole: {error}.") from error
    if not settings.external_ids:
        raise DeployerError("The function's SETTINGS name no account.")
    return settings
