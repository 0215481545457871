environment          = "production"
memory_size          = 1024
reserved_concurrency = 100
throttling_rate      = 1000
is_durable           = true
log_retention_days   = 90
allowed_origins      = ["https://console.example.com"]
