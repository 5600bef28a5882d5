bucket = "drs-estate-state-777788889999"
key    = "prod/terraform.tfstate"
region = "us-west-2"
