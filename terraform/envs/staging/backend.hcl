bucket = "drs-estate-state-777788889999"
key    = "staging/terraform.tfstate"
region = "us-west-2"
