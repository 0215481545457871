import os

from shared.wording import say


def create(event, context):
    from common import LAYER

    print("create")
    return {"said": say(os.environ["GREETING"]), "layer": LAYER, "file": __file__}


def delete(event, context):
    print("delete")
    return {"said": say("goodbye"), "file": __file__}
