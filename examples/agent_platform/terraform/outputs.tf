output "api_url" {
  description = "Where the API is"
  value       = aws_apigatewayv2_api.platform.api_endpoint
}

output "function_name" {
  description = "What plldb invoke calls"
  value       = aws_lambda_function.platform.function_name
}

output "sessions_table" {
  value = aws_dynamodb_table.sessions.name
}
