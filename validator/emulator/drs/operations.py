"""The operations of DRS that the embedded AWS has, by their names in botocore's model.

Not built: executions of recovery plans, source networks, launch actions (there are none to list),
failback, and what ends a job, a recovery instance or a replication.
"""

from collections.abc import Callable

from validator.emulator.drs import extension, plans, recovery, servers, settings
from validator.emulator.drs.models import DrsBackend, Json

OPERATIONS: dict[str, Callable[[DrsBackend, Json], Json]] = {
    "CreateExtendedSourceServer": servers.create_extended_server,
    "CreateLaunchConfigurationTemplate": settings.create_launch_template,
    "CreateRecoveryPlan": plans.create_plan,
    "CreateRecoveryPlanStep": plans.create_step,
    "CreateReplicationConfigurationTemplate": settings.create_template,
    "DeleteLaunchConfigurationTemplate": settings.delete_launch_template,
    "DeleteRecoveryPlan": plans.delete_plan,
    "DeleteRecoveryPlanStep": plans.delete_step,
    "DeleteReplicationConfigurationTemplate": settings.delete_template,
    "DeleteSourceServer": servers.delete_server,
    "DescribeJobLogItems": recovery.describe_job_log,
    "DescribeJobs": recovery.describe_jobs,
    "DescribeLaunchConfigurationTemplates": settings.describe_launch_templates,
    "DescribeRecoveryInstances": recovery.describe_instances,
    "DescribeRecoverySnapshots": recovery.describe_snapshots,
    "DescribeReplicationConfigurationTemplates": settings.describe_templates,
    "DescribeSourceServers": servers.describe_servers,
    "DisconnectSourceServer": servers.disconnect_server,
    "GetLaunchConfiguration": settings.get_launch,
    "GetRecoveryPlan": plans.get_plan,
    "GetRecoveryPlanStep": plans.get_step,
    "GetReplicationConfiguration": settings.get_replication,
    "InitializeService": settings.initialise,
    "ListExtensibleSourceServers": extension.list_extensible,
    "ListLaunchActions": settings.launch_actions,
    "ListRecoveryPlanExecutions": plans.list_executions,
    "ListRecoveryPlanSteps": plans.list_steps,
    "ListRecoveryPlans": plans.list_plans,
    "ListStagingAccounts": extension.staging_accounts,
    "ListTagsForResource": servers.list_tags,
    "ReorderRecoveryPlanSteps": plans.reorder_steps,
    "StartRecovery": recovery.start_recovery,
    "TagResource": servers.tag,
    "UntagResource": servers.untag,
    "UpdateLaunchConfiguration": settings.update_launch,
    "UpdateLaunchConfigurationTemplate": settings.update_launch_template,
    "UpdateRecoveryPlan": plans.update_plan,
    "UpdateRecoveryPlanStep": plans.update_step,
    "UpdateReplicationConfiguration": settings.update_replication,
    "UpdateReplicationConfigurationTemplate": settings.update_template,
}
