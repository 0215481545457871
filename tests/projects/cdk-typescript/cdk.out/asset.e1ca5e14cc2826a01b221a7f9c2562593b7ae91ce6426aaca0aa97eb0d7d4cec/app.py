def handler(event, context):
    print("audit")
    return {"said": "audit", "file": __file__}
