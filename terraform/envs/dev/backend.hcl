bucket = "drs-estate-state-777788889999"
key    = "dev/terraform.tfstate"
region = "us-west-2"
