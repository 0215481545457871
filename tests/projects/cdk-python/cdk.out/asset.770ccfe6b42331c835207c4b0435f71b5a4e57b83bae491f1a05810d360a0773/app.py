from common import LAYER
from wording import GREETING


def handler(event, context):
    print("greeter")
    return {"said": GREETING, "layer": LAYER, "file": __file__}
