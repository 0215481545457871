"""The apigatewayv2 control plane.

``kinds`` says what there is, ``rules`` what AWS refuses, ``refusals`` how; ``store`` keeps it all
and is what the data planes read; ``service`` is the API of AWS.
"""
