import os


def handler(event, context):
    print("greeting", event.get("name"))
    if not event.get("name"):
        raise ValueError("nobody to greet")
    return {
        "greeting": f"{os.environ['GREETING']}, {event['name']}!",
        "file": __file__,
        "pid": os.getpid(),
    }
