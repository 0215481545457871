"""What free LocalStack 4.14 lacks to run a serverless WebSocket application, as plugins.

Map of the package (nothing outside ``plugins`` is loaded before LocalStack asks for it):

=======================  ==========================================================================
``plugins``              the entry points LocalStack finds
``settings``             every environment variable this package reads
``apigatewayv2``         the control plane: ``store`` (records), ``rules`` (what AWS refuses),
                         ``openapi`` (import and export), ``service`` (the AWS API), ``ignored``
                         (settings that nobody heeds are told)
``cloudformation``       the ``AWS::ApiGatewayV2::*`` resource types; ``cloudformation_custom`` has
                         custom resources, ``cloudformation_dashboard`` dashboards,
                         ``cloudformation_records`` groups of record sets
``cloudformation_gaps``  properties of other types that LocalStack leaves out;
                         ``cloudformation_generated``: names of what a transform makes;
                         ``cloudformation_lists``: parameters that are lists
``cloudformation_names`` names of APIs in stacks and their outputs
``addresses``            which API a request is for, by its host or its path
``execute_api``          the way of every such request to what serves its API
``http_api``             the data plane of HTTP APIs
``http_status``          statuses of answers
``throttling``           the limits of a stage's routes
``access_logs``          what stages write to log groups; ``access_log_line`` is a line of it
``batches``              what comes faster than calls are made, taken together
``http_client``          requests of integrations
``emulator_requests``    requests of LocalStack's own services by AWS's names
``state_machines``       the calls of state machines to APIs
``certificate``          what ``https://`` and ``wss://`` show, and where clients get it
``serving``              which threads LocalStack's server takes for a request
``websocket``            the data plane of WebSocket APIs. No I/O: ``expressions``, ``events``,
                         ``policy``, ``conditions`` and ``policy_variables``, ``framing``,
                         ``request_models``, ``opening_handshake``, ``proxy_answer``.
                         ``admission`` says who may connect, ``integrations`` what a route does,
                         with ``mapping`` (templates, ``template_utilities``), ``functions`` and
                         ``backends``;
                         ``executors`` has the threads, ``turns`` says whose turn it is,
                         ``transport`` has the sockets; ``gateway`` and ``management`` are the two
                         routes
``lambda_runtime``       functions as subprocesses: ``runtime_api`` (what AWS calls the Runtime
                         API), ``runtimes`` (which functions run), ``deployment`` (the others are
                         refused), ``process``, ``executor``, ``assignment``, ``reports`` (what
                         CloudWatch is told), ``foreign_layers`` (of other accounts);
                         ``bootstrap`` and ``api_names`` (in the child)
``kinesis``              Kinesis on moto
``dynamodb``             DynamoDB on moto, serialised, with TTL expiry; ``dynamodb_streams``
``signatures``           who signed a request, and whether with the secret
``identities``           users and roles by their access keys; ``access``: what IAM lets them do
``rest_iam``             ``AWS_IAM`` on REST APIs
``rest_names``           names of REST APIs in their events
``retention``            how many log events and data points are kept
``diagnostics``          ``GET /_tokenfree/diagnostics``
=======================  ==========================================================================
"""
