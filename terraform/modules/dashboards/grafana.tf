# The same charts for Grafana, in the classic model, which every Grafana from 9 on imports.
locals {
  _datasource = { type = "cloudwatch", uid = "$${datasource}" }

  _grafana = {
    uid           = "drs-estate-${var.environment}"
    title         = local._title
    description   = "What continuous verification measured, then what DRS says of each account. A gap is not known, and not zero."
    tags          = ["drs", var.environment]
    timezone      = "browser"
    editable      = true
    schemaVersion = 39
    version       = 1
    refresh       = "5m"
    time          = { from = "now-7d", to = "now" }
    annotations   = { list = [] }
    links         = []
    templating = {
      list = [{ name = "datasource", label = "Data source", type = "datasource", query = "cloudwatch", hide = 0, refresh = 1 }]
    }
    panels = concat(local._verification_panels, flatten(local._account_panels))
  }

  _verification_panels = [
    for n, chart in local._verification : merge(local._panel, {
      id      = n + 1
      title   = chart.title
      gridPos = { x = 12 * (n % 2), y = 8 * floor(n / 2), w = n == length(local._verification) - 1 ? 24 : 12, h = 8 }
      targets = [
        for line, each in chart.lines : {
          refId            = format("L%d", line)
          datasource       = local._datasource
          queryMode        = "Metrics"
          metricQueryType  = 0
          metricEditorMode = 0
          namespace        = var.metric_namespace
          metricName       = each.metric
          dimensions       = merge({ Environment = var.environment }, each.dimensions)
          matchExact       = true
          statistic        = chart.stat
          period           = tostring(chart.period)
          region           = var.region
          label            = each.label
          id               = ""
          expression       = ""
        }
      ]
      fieldConfig = { defaults = merge(local._field, { unit = "short", thresholds = { mode = "absolute", steps = local._verification_steps[n] } }), overrides = [] }
    })
  ]
  _verification_steps = [
    for chart in local._verification : concat([{ color = "transparent", value = null }], [for mark in chart.marks : { color = mark.color, value = mark.value }])
  ]
  _first_row = 8 * ceil(length(local._verification) / 2)

  _account_panels = [
    for row, account in local._accounts : concat(
      [{
        id        = 100 + 10 * row
        type      = "row"
        title     = "${account.name} (${account.id})"
        collapsed = false
        gridPos   = { x = 0, y = local._first_row + 9 * row, w = 24, h = 1 }
        panels    = []
      }],
      [for n, chart in local._drs : merge(local._panel, {
        id      = 101 + 10 * row + n
        title   = chart.title
        gridPos = { x = n == 0 ? 0 : 5 * n - 1, y = local._first_row + 9 * row + 1, w = n == 0 ? 4 : 5, h = 8 }
        # The data source reads the monitoring account, which sees the others.
        targets = [{
          refId            = "A"
          datasource       = local._datasource
          queryMode        = "Metrics"
          metricQueryType  = 1
          metricEditorMode = 1
          sqlExpression    = "${chart.query} WHERE AWS.AccountId = '${account.id}'${chart.rest}"
          statistic        = "Maximum"
          period           = "3600"
          region           = var.region
          label            = ""
          id               = ""
          expression       = ""
        }]
        fieldConfig = { defaults = merge(local._field, { unit = chart.unit, thresholds = { mode = "absolute", steps = local._drs_steps[n] } }), overrides = [] }
      })],
    )
  ]
  _drs_steps = [
    for chart in local._drs : concat([{ color = "transparent", value = null }], [for mark in chart.marks : { color = mark.color, value = mark.value }])
  ]

  _panel = {
    type       = "timeseries"
    datasource = local._datasource
    options    = { legend = { displayMode = "list", placement = "bottom", showLegend = true }, tooltip = { mode = "multi", sort = "desc" } }
  }
  _field = {
    min    = 0
    custom = { drawStyle = "line", lineInterpolation = "stepAfter", showPoints = "always", spanNulls = false, thresholdsStyle = { mode = "line" } }
  }
}
