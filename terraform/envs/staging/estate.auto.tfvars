# The declared truth of env staging: Terraform builds from it, and the validator compares with it.
environment            = "staging"
source_region          = "us-east-1"
recovery_region        = "us-west-2"
access_role_name       = "OrganizationAccountAccessRole"
drill_days             = 180
headroom               = 0
point_in_time_days     = 7
volumes_per_server     = 3
source_cidrs           = ["10.0.0.0/8"]
verifier_principal_arn = "arn:aws:iam::777788889999:role/drs-verify-staging"

target = {
  account_id        = "111122223333"
  external_id       = "12e5d8cd-17d4-5ec1-9576-f768de43b3a7"
  instances         = {}
  servers           = 300
  staging_area_cidr = "10.240.20.0/24"
}

staging_accounts = {
  staging-1 = {
    account_id        = "444455556666"
    external_id       = "f56d60c5-54b2-56bf-994a-2c65e49d5fcc"
    instances         = {}
    servers           = 300
    staging_area_cidr = "10.240.21.0/24"
  }
}

orchestration = {
  account_id  = "777788889999"
  external_id = "cbc7b75b-9aef-507c-8015-b59cee26de1c"
}

# Servers of the whole estate that are recovered at once.
recovery_waves = {
  wave-1 = 200
  wave-2 = 200
  wave-3 = 200
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
