terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # Bucket, key and Region stand in backend.hcl.
  backend "s3" {
    use_lockfile = true
  }
}
