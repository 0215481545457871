variable "name" {
  description = "What all names begin with"
  type        = string
  default     = "agent-platform"
}

variable "environment" {
  description = "staging or production"
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "region" {
  description = "Region of all resources"
  type        = string
  default     = "us-east-1"
}

variable "memory_size" {
  description = "Memory of the function in MB"
  type        = number
  default     = 512
}

variable "reserved_concurrency" {
  description = "How many invocations run at once; -1 is without a limit"
  type        = number
  default     = -1
}

variable "throttling_rate" {
  description = "Requests a second, and half of what may come at once; more are refused with 429"
  type        = number
  default     = 50
}

variable "session_seconds" {
  description = "How long a session is valid"
  type        = number
  default     = 3600
}

variable "allowed_origins" {
  description = "Origins of the frontend"
  type        = list(string)
  default     = []
}

variable "is_durable" {
  description = "Whether tables can be restored to any point of the last 35 days, and are protected"
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days until log events are deleted"
  type        = number
  default     = 14
}
