"""The CDK app: ``cdk synth --context env=prod`` makes the stack of another environment."""

import aws_cdk as cdk
from infrastructure.broadcast_stack import BroadcastStack
from infrastructure.environments import read_environment

app = cdk.App()
environment = read_environment(app.node.try_get_context("env") or "dev")
BroadcastStack(app, f"AudioBroadcast-{environment.name}", environment)
app.synth()
