"""Layers of other accounts, such as AWS's own: their zips lie in a folder, as ``NAME.zip``.

Nobody can fetch them without an AWS account. Whoever has one gets a zip by GetLayerVersion:
https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersion.html. Of a package, like
Powertools, pip makes one as well.
"""

from pathlib import Path

from localstack.aws.api.lambda_ import InvalidParameterValueException
from localstack.services.lambda_ import api_utils
from localstack.services.lambda_.invocation.lambda_models import Layer, LayerVersion
from localstack.services.lambda_.invocation.lambda_service import store_lambda_archive
from localstack.services.lambda_.layerfetcher.layer_fetcher import LayerFetcher


class LayerFolder(LayerFetcher):
    """What LocalStack asks for a layer that is of another account, and not known yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch_layer(self, layer_version_arn: str) -> Layer:
        region, account, name, version = api_utils.parse_layer_arn(layer_version_arn)
        file = self._folder / f"{name}.zip"
        if not file.is_file():
            raise InvalidParameterValueException(
                f"Layer {layer_version_arn} is of another account and can't be fetched here. "
                f"Put its zip into the emulator's file system as {file}.",
                Type="User",
            )
        arn = layer_version_arn.removesuffix(f":{version}")
        content = LayerVersion(
            layer_version_arn=layer_version_arn,
            layer_arn=arn,
            version=int(version),
            code=store_lambda_archive(file.read_bytes(), name, region, account),
            license_info=None,
            compatible_runtimes=None,
            compatible_architectures=None,
            created=api_utils.generate_lambda_date(),
        )
        return Layer(arn=arn, layer_versions={version: content})
