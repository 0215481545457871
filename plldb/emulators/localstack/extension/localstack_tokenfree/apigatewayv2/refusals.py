"""Why a request to the control plane is refused. Codes and statuses are those of AWS.

https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis.html
"""


class ControlPlaneError(Exception):
    """A refused request. ``code`` and ``status`` are what AWS answers."""

    code = "BadRequestException"
    status = 400


class NotFoundError(ControlPlaneError):
    code = "NotFoundException"
    status = 404


class ConflictError(ControlPlaneError):
    code = "ConflictException"
    status = 409


class BadRequestError(ControlPlaneError):
    pass


class UnsupportedError(ControlPlaneError):
    """AWS could do it, this emulator can't: as LocalStack says it of operations."""

    code = "InternalFailure"
    status = 501
