"""What free LocalStack 4.14 lacks to run a serverless WebSocket application, as plugins.

Map of the package (nothing outside ``plugins`` is loaded before LocalStack asks for it):

=======================  ==========================================================================
``plugins``              the entry points LocalStack finds
``settings``             every environment variable this package reads
``apigatewayv2``         the control plane: ``store`` (records), ``rules`` (what AWS refuses),
                         ``openapi`` (import and export), ``service`` (the AWS API)
``cloudformation``       the ``AWS::ApiGatewayV2::*`` resource types; ``cloudformation_custom`` has
                         custom resources, ``cloudformation_dashboard`` dashboards
``cloudformation_gaps``  properties of other types that LocalStack leaves out
``cloudformation_names`` names of APIs in stacks and their outputs
``addresses``            which API a request is for, by its host or its path
``execute_api``          the way of every such request to what serves its API
``http_api``             the data plane of HTTP APIs
``certificate``          what ``https://`` and ``wss://`` show, and where clients get it
``websocket``            the data plane: ``expressions``, ``events``, ``policy`` and ``framing`` do
                         no I/O; ``integrations`` calls functions; ``transport`` owns sockets;
                         ``gateway`` and ``management`` are the two routes
``lambda_runtime``       functions as subprocesses: ``runtime_api`` (what AWS calls the Runtime
                         API), ``process``, ``executor``, ``assignment``; ``bootstrap`` and
                         ``api_names`` (in the child)
``dynamodb``             DynamoDB on moto, serialised, with TTL expiry
``signatures``           who signed a request
``rest_iam``             ``AWS_IAM`` on REST APIs
``diagnostics``          ``GET /_tokenfree/diagnostics``
=======================  ==========================================================================
"""
