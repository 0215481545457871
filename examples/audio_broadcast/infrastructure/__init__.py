"""The stack, in Python for the AWS CDK."""
