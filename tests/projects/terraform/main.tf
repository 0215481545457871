terraform {
  required_providers {
    archive = { source = "hashicorp/archive" }
    aws     = { source = "hashicorp/aws", version = "~> 5.0" }
  }
}

resource "aws_iam_role" "functions" {
  name = "terraform-functions"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Action    = "sts:AssumeRole"
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

data "archive_file" "layer" {
  type        = "zip"
  source_dir  = "${path.module}/layer"
  output_path = "${path.module}/build/layer.zip"
}

resource "aws_lambda_layer_version" "common" {
  layer_name       = "terraform-common"
  filename         = data.archive_file.layer.output_path
  source_code_hash = data.archive_file.layer.output_base64sha256
}

data "archive_file" "orders" {
  type        = "zip"
  source_dir  = "${path.module}/src/orders"
  output_path = "${path.module}/build/orders.zip"
}

resource "aws_lambda_function" "orders" {
  function_name    = "terraform-orders"
  role             = aws_iam_role.functions.arn
  runtime          = "python3.13"
  handler          = "app.handler"
  timeout          = 30
  filename         = data.archive_file.orders.output_path
  source_code_hash = data.archive_file.orders.output_base64sha256
  layers           = [aws_lambda_layer_version.common.arn]
}

# A single file, which goes through a bucket.
data "archive_file" "billing" {
  type        = "zip"
  source_file = "${path.module}/src/billing/billing.py"
  output_path = "${path.module}/build/billing.zip"
}

resource "aws_s3_bucket" "code" {
  bucket = "terraform-code"
}

resource "aws_s3_object" "billing" {
  bucket = aws_s3_bucket.code.bucket
  key    = "billing.zip"
  source = data.archive_file.billing.output_path
}

resource "aws_lambda_function" "billing" {
  function_name = "terraform-billing"
  role          = aws_iam_role.functions.arn
  runtime       = "python3.13"
  handler       = "billing.run"
  timeout       = 30
  s3_bucket     = aws_s3_object.billing.bucket
  s3_key        = aws_s3_object.billing.key
}

# Two functions of a module.
module "worker" {
  source   = "./modules/worker"
  for_each = toset(["fast", "slow"])
  name     = "terraform-worker-${each.key}"
  role     = aws_iam_role.functions.arn
}
