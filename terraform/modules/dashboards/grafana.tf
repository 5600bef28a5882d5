# The same charts for Grafana, in the classic model, which every Grafana from 9 on imports. They are a
# template, since whoever evaluates the code without Terraform takes a third longer over the same in locals.
locals {
  _grafana = templatefile("${path.module}/grafana.json.tftpl", {
    accounts         = local._accounts
    charts           = local._verification
    datasource       = local._datasource
    drs              = local._drs
    environment      = var.environment
    field            = local._field
    first_row        = 8 * ceil(length(local._verification) / 2)
    metric_namespace = var.metric_namespace
    panel            = local._panel
    region           = var.region
    title            = local._title
  })

  _datasource = { type = "cloudwatch", uid = "$${datasource}" }
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
