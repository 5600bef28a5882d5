# The declared truth of env prod: Terraform builds from it, and the validator compares with it.
environment            = "prod"
source_region          = "us-east-1"
recovery_region        = "us-west-2"
access_role_name       = "OrganizationAccountAccessRole"
drill_days             = 180
headroom               = 0
point_in_time_days     = 7
volumes_per_server     = 3
source_cidrs           = ["10.0.0.0/8"]
verifier_principal_arn = "arn:aws:iam::777788889999:role/drs-verify-prod"

target = {
  account_id        = "888899990000"
  external_id       = "50f6caaf-79de-50c3-8816-3aab0a5e1171"
  instances         = {}
  servers           = 300
  staging_area_cidr = "10.240.30.0/24"
}

staging_accounts = {
  staging-1 = {
    account_id        = "999900001111"
    external_id       = "7b5435ef-bbfe-5cdf-ad34-6d7f23bbf6d2"
    instances         = {}
    servers           = 300
    staging_area_cidr = "10.240.31.0/24"
  }
  staging-2 = {
    account_id        = "121234345656"
    external_id       = "b33d02db-89c1-5c0d-8e6a-9e8e5269df98"
    instances         = {}
    servers           = 300
    staging_area_cidr = "10.240.32.0/24"
  }
}

orchestration = {
  account_id  = "777788889999"
  external_id = "ed3fb0a9-cc8c-56e9-8d3a-e1ecd364b423"
}

# Servers of the whole estate that are recovered at once.
recovery_waves = {
  wave-1 = 300
  wave-2 = 300
  wave-3 = 300
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
  enabled           = true
  schedule          = "rate(6 hours)"
  workflow_role_arn = "arn:aws:iam::777788889999:role/github-verify"
}
