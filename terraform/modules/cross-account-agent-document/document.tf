# AWS's own document has no parameter for an account. Every value that reaches a shell is one of a list,
# or matches a pattern without a character that a shell reads.
resource "aws_ssm_document" "this" {
  name            = "DRS-InstallAgentIntoAccount-${var.environment}"
  document_type   = "Command"
  document_format = "JSON"

  content = jsonencode({
    schemaVersion = "2.2"
    description   = "Installs the DRS agent, to replicate into another account by the instance's own profile."

    parameters = {
      AccountId = {
        type          = "String"
        description   = "Account to replicate into."
        allowedValues = var.into_account_ids
      }
      Region = {
        type          = "String"
        description   = "Region to replicate to."
        allowedValues = [var.recovery_region]
      }
      Tags = {
        type           = "String"
        description    = "Tags of the source server, as KEY=VALUE KEY=VALUE."
        allowedPattern = "^[a-zA-Z0-9_.:/-]{1,50}=[a-zA-Z0-9_.:/-]{1,50}( [a-zA-Z0-9_.:/-]{1,50}=[a-zA-Z0-9_.:/-]{1,50}){0,20}$"
      }
    }

    mainSteps = [
      {
        action       = "aws:runShellScript"
        name         = "linux"
        precondition = { StringEquals = ["platformType", "Linux"] }
        inputs = {
          timeoutSeconds = "3600"
          runCommand = [
            "set -eu",
            "cd \"$(mktemp -d)\"",
            "base=https://aws-elastic-disaster-recovery-{{ Region }}.s3.{{ Region }}.amazonaws.com/latest/linux",
            "hashes=https://aws-elastic-disaster-recovery-hashes-{{ Region }}.s3.{{ Region }}.amazonaws.com/latest/linux",
            "curl --fail --silent --show-error --output aws-replication-installer-init $base/aws-replication-installer-init",
            "curl --fail --silent --show-error --output expected $hashes/aws-replication-installer-init.sha512",
            "[ \"$(sha512sum aws-replication-installer-init | cut -d' ' -f1)\" = \"$(cut -d' ' -f1 expected)\" ] || { echo 'The installer is not what AWS published.' >&2; exit 1; }",
            "chmod +x aws-replication-installer-init",
            "./aws-replication-installer-init --no-prompt --region {{ Region }} --account-id {{ AccountId }} --tags {{ Tags }}",
          ]
        }
      },
      {
        action       = "aws:runPowerShellScript"
        name         = "windows"
        precondition = { StringEquals = ["platformType", "Windows"] }
        inputs = {
          timeoutSeconds = "3600"
          runCommand = [
            "$ErrorActionPreference = 'Stop'",
            "[Net.ServicePointManager]::SecurityProtocol = 'Tls12'",
            "$installer = Join-Path $env:TEMP 'AwsReplicationWindowsInstaller.exe'",
            "$base = 'https://aws-elastic-disaster-recovery-{{ Region }}.s3.{{ Region }}.amazonaws.com/latest/windows'",
            "$hashes = 'https://aws-elastic-disaster-recovery-hashes-{{ Region }}.s3.{{ Region }}.amazonaws.com/latest/windows'",
            "Invoke-WebRequest -UseBasicParsing -Uri \"$base/AwsReplicationWindowsInstaller.exe\" -OutFile $installer",
            "$expected = (Invoke-RestMethod -UseBasicParsing -Uri \"$hashes/AwsReplicationWindowsInstaller.exe.sha512\").Trim().Split(' ')[0]",
            "if ((Get-FileHash -Algorithm SHA512 $installer).Hash -ne $expected) { throw 'The installer is not what AWS published.' }",
            "& $installer --no-prompt --region {{ Region }} --account-id {{ AccountId }} --tags {{ Tags }}",
            "exit $LASTEXITCODE",
          ]
        }
      },
    ]
  })
}
