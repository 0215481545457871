from dependency import NAME


def handler(event, context):
    print("bundled")
    return {"said": NAME, "file": __file__}
