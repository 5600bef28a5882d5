resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "drs-estate-${var.environment}"
  dashboard_body = jsonencode(local._body)
}

locals {
  _body = {
    start          = "-P7D"
    periodOverride = "inherit"
    widgets        = concat([local._heading], local._of_verification, flatten(local._of_accounts))
  }

  _heading = {
    type   = "text"
    x      = 0
    y      = 0
    width  = 24
    height = 2
    properties = {
      markdown = "# ${local._title}\nWhat continuous verification measured, then what DRS says of each account. A gap is not known, and not zero."
    }
  }

  # Two in a row, the last one as wide as both.
  _of_verification = [
    for n, chart in local._verification : {
      type   = "metric"
      x      = 12 * (n % 2)
      y      = 2 + 6 * floor(n / 2)
      width  = n == length(local._verification) - 1 ? 24 : 12
      height = 6
      properties = {
        title  = chart.title
        view   = "timeSeries"
        region = var.region
        stat   = chart.stat
        period = chart.period
        yAxis  = { left = { min = 0 } }
        metrics = [
          for line in chart.lines : concat(
            [var.metric_namespace, line.metric, "Environment", var.environment],
            flatten([for name, value in line.dimensions : [name, value]]),
            [{ label = line.label }],
          )
        ]
        annotations = { horizontal = chart.marks }
      }
    }
  ]
  _first = 2 + 6 * ceil(length(local._verification) / 2)

  _of_accounts = [
    for row, account in local._accounts : concat(
      [{
        type       = "text"
        x          = 0
        y          = local._first + 7 * row
        width      = 24
        height     = 1
        properties = { markdown = "## ${account.name} (${account.id})" }
      }],
      [for n, chart in local._drs : {
        type   = "metric"
        x      = n == 0 ? 0 : 5 * n - 1
        y      = local._first + 7 * row + 1
        width  = n == 0 ? 4 : 5
        height = 6
        properties = {
          title       = chart.title
          view        = "timeSeries"
          accountId   = account.id
          region      = var.region
          stat        = "Maximum"
          period      = 3600
          yAxis       = { left = { min = 0 } }
          metrics     = [[{ expression = "${chart.query}${chart.rest}", id = "q1", label = "" }]]
          annotations = { horizontal = chart.marks }
        }
      }],
    )
  ]
}
