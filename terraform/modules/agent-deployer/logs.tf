resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158: What is logged are states of instances, and CloudWatch encrypts it; a key of the estate would have to admit the Logs service, and those keys admit nobody but the estate.
  name              = local._function_log
  retention_in_days = 365
}

resource "aws_cloudwatch_log_group" "machine" {
  #checkov:skip=CKV_AWS_158: What is logged are steps without their data, and CloudWatch encrypts it; a key of the estate would have to admit the Logs service, and those keys admit nobody but the estate.
  name              = "/aws/vendedlogs/states/${local._name}"
  retention_in_days = 365
}

locals {
  _function_log = "/aws/lambda/${local._name}"
}
