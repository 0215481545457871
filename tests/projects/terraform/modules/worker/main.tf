variable "name" { type = string }
variable "role" { type = string }

data "archive_file" "worker" {
  type        = "zip"
  source_dir  = "${path.module}/src"
  output_path = "${path.root}/build/worker.zip"
}

resource "aws_lambda_function" "worker" {
  function_name    = var.name
  role             = var.role
  runtime          = "python3.13"
  handler          = "worker.main.run"
  timeout          = 30
  filename         = data.archive_file.worker.output_path
  source_code_hash = data.archive_file.worker.output_base64sha256
}
