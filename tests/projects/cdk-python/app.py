"""The app of `cdk init app --language python`, with one stack."""

import aws_cdk as cdk

from shop_app.shop_stack import ShopStack

app = cdk.App()
ShopStack(app, "ShopStack")
app.synth()
