def run(event, context):
    print("nightly")
    return {"said": "nightly", "file": __file__}
