data "archive_file" "platform" {
  type        = "zip"
  source_dir  = "${path.module}/../src"
  output_path = "${path.module}/../build/platform.zip"
  excludes    = ["**/__pycache__/**"]
}

# What pip has put into build/layer: see README.md.
data "archive_file" "dependencies" {
  type        = "zip"
  source_dir  = "${path.module}/../build/layer"
  output_path = "${path.module}/../build/dependencies.zip"
  excludes    = ["**/__pycache__/**"]
}

resource "aws_lambda_layer_version" "dependencies" {
  layer_name          = "${local.name}-dependencies"
  filename            = data.archive_file.dependencies.output_path
  source_code_hash    = data.archive_file.dependencies.output_base64sha256
  compatible_runtimes = ["python3.13"]
}

resource "aws_cloudwatch_log_group" "platform" {
  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.log_retention_days
}

# The identity provider's and the agents'. Its value is put by hand, since Terraform would keep it
# in its state: see README.md.
resource "aws_secretsmanager_secret" "service_key" {
  name = "${local.name}-service-key"
}

resource "aws_lambda_function" "platform" {
  function_name                  = local.name
  role                           = aws_iam_role.platform.arn
  filename                       = data.archive_file.platform.output_path
  source_code_hash               = data.archive_file.platform.output_base64sha256
  handler                        = "agent_platform.lambda_handler.handler"
  runtime                        = "python3.13"
  timeout                        = 10
  memory_size                    = var.memory_size
  reserved_concurrent_executions = var.reserved_concurrency
  layers                         = [aws_lambda_layer_version.dependencies.arn]

  environment {
    variables = {
      SESSION_STORE   = "dynamodb"
      SESSION_SECONDS = tostring(var.session_seconds)
      ALLOWED_ORIGINS = join(" ", var.allowed_origins)
      SERVICE_KEY_ARN = aws_secretsmanager_secret.service_key.arn
      SESSIONS_TABLE  = aws_dynamodb_table.sessions.name
      AGENTS_TABLE    = aws_dynamodb_table.agents.name
      JOBS_TABLE      = aws_dynamodb_table.jobs.name
    }
  }

  depends_on = [aws_cloudwatch_log_group.platform]
}

resource "aws_cloudwatch_log_group" "api" {
  name              = "/aws/apigateway/${local.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_apigatewayv2_api" "platform" {
  name          = local.name
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "platform" {
  api_id                 = aws_apigatewayv2_api.platform.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.platform.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "platform" {
  api_id    = aws_apigatewayv2_api.platform.id
  route_key = "$default"
  target    = "integrations/${aws_apigatewayv2_integration.platform.id}"
}

resource "aws_apigatewayv2_stage" "platform" {
  api_id      = aws_apigatewayv2_api.platform.id
  name        = "$default"
  auto_deploy = true

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api.arn
    format = jsonencode({
      requestId = "$context.requestId"
      ip        = "$context.identity.sourceIp"
      route     = "$context.routeKey"
      path      = "$context.path"
      status    = "$context.status"
      error     = "$context.integrationErrorMessage"
    })
  }

  default_route_settings {
    throttling_rate_limit  = var.throttling_rate
    throttling_burst_limit = 2 * var.throttling_rate
  }
}

resource "aws_lambda_permission" "platform" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.platform.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.platform.execution_arn}/*"
}
