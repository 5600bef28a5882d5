# Waits between the steps of a deployment, which is what the function cannot do.
resource "aws_sfn_state_machine" "this" {
  #checkov:skip=CKV_AWS_284: Each step is an event of the execution, with its input, its answer and its error; there is no other service of ours to trace.
  #checkov:skip=CKV_AWS_285: What each step was given and answered stands in the execution's own history for 90 days; a payload may name an external id, which is not for logs.
  name     = local._name
  role_arn = aws_iam_role.machine.arn
  type     = "STANDARD"

  definition = jsonencode({
    Comment        = "Deploys DRS agents: planned once, then step by step until nothing is under way."
    StartAt        = "Plan"
    TimeoutSeconds = 172800

    States = {
      Plan = merge(local._step, {
        Parameters = {
          "deployment_id.$" = "$$.Execution.Name"
          "execution.$"     = "$$.Execution.Id"
          "payload.$"       = "$$.Execution.Input"
          step              = "plan"
        }
        Catch = [{ ErrorEquals = ["States.ALL"], Next = "Abandon" }]
        Next  = "Ended"
      })

      Advance = merge(local._step, {
        Parameters = {
          "deployment_id.$" = "$$.Execution.Name"
          "execution.$"     = "$$.Execution.Id"
          step              = "advance"
        }
        Catch = [{ ErrorEquals = ["States.ALL"], Next = "Abandon" }]
        Next  = "Ended"
      })

      Ended = {
        Type = "Choice"
        Choices = [
          { Variable = "$.status", StringEquals = "running", Next = "Wait" },
          { Variable = "$.status", StringEquals = "succeeded", Next = "Succeeded" },
          { Variable = "$.status", StringEquals = "cancelled", Next = "Cancelled" },
          { Variable = "$.status", StringEquals = "incomplete", Next = "Incomplete" },
        ]
        Default = "Failed"
      }

      Wait = {
        Type        = "Wait"
        SecondsPath = "$.wait_seconds"
        Next        = "Advance"
      }

      # The error is recorded, if there is a deployment, and the execution ends with it either way.
      Abandon = merge(local._step, {
        Parameters = {
          "deployment_id.$" = "$$.Execution.Name"
          "execution.$"     = "$$.Execution.Id"
          "failure.$"       = "$"
          step              = "abandon"
        }
        Catch      = [{ ErrorEquals = ["States.ALL"], Next = "Stopped", ResultPath = null }]
        Next       = "Stopped"
        ResultPath = null
      })

      Succeeded  = { Type = "Succeed" }
      Cancelled  = { Type = "Fail", Error = "Cancelled", Cause = "The deployment was cancelled; its records say how far it came." }
      Failed     = { Type = "Fail", Error = "Failed", Cause = "An error stopped the deployment; its record has it." }
      Incomplete = { Type = "Fail", Error = "Incomplete", Cause = "Not every instance replicates; the records of the deployment name the others." }
      Stopped    = { Type = "Fail", ErrorPath = "$.Error", CausePath = "$.Cause" }
    }
  })

  logging_configuration {
    include_execution_data = false
    level                  = "ALL"
    log_destination        = "${aws_cloudwatch_log_group.machine.arn}:*"
  }

  depends_on = [aws_iam_role_policy.machine]
}

locals {
  # A step that was cut off, throttled or not begun may be made again: it looks at what it did first.
  _step = {
    Type     = "Task"
    Resource = local._function_arn
    Retry = [{
      BackoffRate = 2
      ErrorEquals = [
        "BusyError",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ServiceException",
        "Lambda.TooManyRequestsException",
        "Lambda.Unknown",
        "Runtime.ExitError",
        "Sandbox.Timedout",
        "States.Timeout",
        "TransientError",
      ]
      IntervalSeconds = 2
      MaxAttempts     = 6
      MaxDelaySeconds = 60
    }]
    TimeoutSeconds = 330
  }
}
