"""The handlers that template.yaml names: one file for each Lambda function."""
