# What both dashboards show. A total that is not known is not measured, so it is a gap in a line and
# never a zero.
locals {
  _accounts = concat(
    [{ name = "target", id = var.target_account_id }],
    [for name in sort(keys(var.staging_account_ids)) : { name = name, id = var.staging_account_ids[name] }],
  )
  _staging = sort(keys(var.staging_account_ids))

  # Metrics of continuous verification: each line is a metric with its dimensions besides Environment.
  _verification = [for chart in local._considered : chart if length(chart.lines) > 0]
  _considered = [
    {
      title  = "Verdict: 0 holds, 1 violated, 2 unknown"
      stat   = "Maximum"
      period = 3600
      marks  = [{ label = "violated", value = 1, color = local._red }, { label = "unknown", value = 2, color = local._amber }]
      lines  = [{ metric = "Verdict", label = "verdict", dimensions = {} }]
    },
    {
      title  = "Findings"
      stat   = "Maximum"
      period = 3600
      marks  = []
      lines  = [for outcome in ["violated", "unknown", "holds"] : { metric = "Findings", label = outcome, dimensions = { Outcome = outcome } }]
    },
    {
      title  = "Replicating source servers"
      stat   = "Maximum"
      period = 3600
      marks = concat(
        [{ label = "quota", value = local._replicating_quota, color = local._red }],
        var.headroom > 0 ? [{ label = "headroom", value = local._replicating_quota - var.headroom, color = local._amber }] : [],
      )
      lines = [for account in local._accounts : { metric = "Replicating", label = account.name, dimensions = { Account = account.name } }]
    },
    {
      title  = "Extended into the target, and missing there"
      stat   = "Maximum"
      period = 3600
      marks  = []
      lines = flatten([for name in local._staging : [
        { metric = "Extended", label = "${name} extended", dimensions = { Account = name } },
        { metric = "Missing", label = "${name} missing", dimensions = { Account = name } },
      ]])
    },
    {
      title  = "Verifications that came to their end, by day"
      stat   = "Sum"
      period = 86400
      marks  = [{ label = "silence", value = 1, color = local._red }]
      lines  = [{ metric = "Completed", label = "completed", dimensions = {} }]
    },
  ]

  # Metrics that DRS puts into each account. CloudWatch takes one query in a widget, so each account
  # has widgets of its own. Only the worst servers have a line: of thousands nobody reads one.
  _drs = [
    {
      title = "Source servers known to DRS"
      unit  = "short"
      marks = []
      query = "SELECT MAX(TotalSourceServerCount) FROM \"AWS/DRS\""
      rest  = ""
    },
    {
      title = "Lag of the ten worst, in seconds"
      unit  = "s"
      marks = [{ label = "strictest objective", value = 60 * min(values(var.recovery_point_objectives)...), color = local._red }]
      query = "SELECT MAX(LagDuration) FROM SCHEMA(\"AWS/DRS\", SourceServerID)"
      rest  = " GROUP BY SourceServerID ORDER BY MAX() DESC LIMIT 10"
    },
    {
      title = "Backlog of all, in bytes"
      unit  = "bytes"
      marks = []
      query = "SELECT SUM(Backlog) FROM SCHEMA(\"AWS/DRS\", SourceServerID)"
      rest  = ""
    },
    {
      title = "Longest since a launch, in seconds"
      unit  = "s"
      marks = [{ label = "a drill is due", value = 86400 * var.drill_days, color = local._red }]
      query = "SELECT MAX(DurationSinceLastSuccessfulRecoveryLaunch) FROM SCHEMA(\"AWS/DRS\", SourceServerID)"
      rest  = ""
    },
    {
      title = "Shortest time replicated, in seconds"
      unit  = "s"
      marks = []
      query = "SELECT MIN(ElapsedReplicationDuration) FROM SCHEMA(\"AWS/DRS\", SourceServerID)"
      rest  = ""
    },
  ]

  _amber             = "#ff9900"
  _red               = "#d13212"
  _replicating_quota = 300
  _title             = "DRS estate ${var.environment}"
}
