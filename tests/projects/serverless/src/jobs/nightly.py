def run(event, context):
    print("nightly")
    return {"said": "good night", "file": __file__}
