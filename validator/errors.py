"""The errors that a user can meet; each message names the file or ARN, what happened and what to do."""


class ValidatorError(Exception):
    """No verdict could be reached; the command ends with exit status 2."""


class SourceError(ValidatorError):
    """A file, plan or policy could not be read as what it should be."""


class ToolError(ValidatorError):
    """An outside program (Terraform, checkov) is missing or failed."""


class AccountError(ValidatorError):
    """An AWS account refused, could not be reached, or is not the one that was declared."""


class UsageError(ValidatorError):
    """The command was asked for something that it does not do."""
