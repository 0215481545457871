output "api_url" {
  description = "Where the API is"
  value       = aws_apigatewayv2_api.platform.api_endpoint
}

output "function_name" {
  description = "What plldb invoke calls"
  value       = aws_lambda_function.platform.function_name
}

output "service_key_arn" {
  description = "Where the key of the identity provider and the agents is to be put"
  value       = aws_secretsmanager_secret.service_key.arn
}

output "sessions_table" {
  description = "Where the sessions are"
  value       = aws_dynamodb_table.sessions.name
}
