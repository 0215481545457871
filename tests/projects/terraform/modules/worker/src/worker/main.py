def run(event, context):
    print("worker")
    return {"said": "worker", "file": __file__}
