from common import LAYER


def handler(event, context):
    print("billing")
    return {"said": "billing", "layer": LAYER, "file": __file__}
