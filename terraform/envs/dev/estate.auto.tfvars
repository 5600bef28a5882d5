# The declared truth of env dev: Terraform builds from it, and the validator compares with it.
environment            = "dev"
source_region          = "us-east-1"
recovery_region        = "us-west-2"
access_role_name       = "OrganizationAccountAccessRole"
drill_days             = 180
headroom               = 0
point_in_time_days     = 7
volumes_per_server     = 3
source_cidrs           = ["10.0.0.0/8"]
verifier_principal_arn = "arn:aws:iam::777788889999:role/drs-verify-dev"

target = {
  account_id        = "222233334444"
  external_id       = "d1af3e94-e092-5961-84cd-a461c3141ee2"
  instances         = {}
  servers           = 20
  staging_area_cidr = "10.240.10.0/24"
}

staging_accounts = {
  staging-1 = {
    account_id        = "555566667777"
    external_id       = "9b42c480-0151-5120-be68-2ce58171cc8d"
    instances         = {}
    servers           = 20
    staging_area_cidr = "10.240.11.0/24"
  }
}

orchestration = {
  account_id  = "777788889999"
  external_id = "e861192d-86e8-5b30-966a-43f398b09442"
}

# Servers of the whole estate that are recovered at once.
recovery_waves = {
  wave-1 = 40
}

# Minutes of data that may be lost, by the tag dr:priority.
recovery_point_objectives = {
  "1" = 15
  "2" = 60
  "3" = 240
}

# How extended servers are launched in the target.
launch_settings = {
  copy_private_ip = false
  copy_tags       = true
  disposition     = "STARTED"
  licensing_byol  = false
  right_sizing    = "BASIC"
}

# Its function takes the part of verifier_principal_arn; the workflow comes through the same role.
continuous_verification = {
  enabled           = false
  schedule          = "rate(6 hours)"
  workflow_role_arn = "arn:aws:iam::777788889999:role/github-verify"
}
