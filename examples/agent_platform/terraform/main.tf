# The same platform as ../template.yaml, for those who deploy with Terraform or OpenTofu.

terraform {
  required_version = ">= 1.6"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.4"
    }
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Application = var.name
      Environment = var.environment
    }
  }
}

locals {
  name = "${var.name}-${var.environment}"
}
