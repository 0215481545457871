import os

from chalice import Chalice
from vendored import NAME

from chalicelib.wording import say

app = Chalice(app_name="notes")


@app.route("/")
def index():
    print("index")
    return {"said": say(os.environ["GREETING"]), "vendored": NAME, "file": __file__}


@app.lambda_function(name="plain")
def plain(event, context):
    print("plain")
    return {"said": say("plain"), "vendored": NAME, "file": __file__}
