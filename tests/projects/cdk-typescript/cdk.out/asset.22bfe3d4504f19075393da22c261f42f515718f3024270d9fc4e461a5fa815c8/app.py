from common import LAYER


def handler(event, context):
    print("orders")
    return {"said": "orders", "layer": LAYER, "file": __file__}
