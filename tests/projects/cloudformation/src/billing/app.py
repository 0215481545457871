def handler(event, context):
    print("billing")
    return {"said": "billing", "file": __file__}
