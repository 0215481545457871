"""The handlers that template.yaml names: one file for each Lambda function."""

import gc

# What is loaded stays. To look through it for what nobody needs any more, again at every 700th
# object, takes a fifth of a cold start.
gc.set_threshold(20_000)
