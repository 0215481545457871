"""Functions whose code is taken as it is, with a layer, bundled, and inline."""

import shutil
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

_ROOT = Path(__file__).parent.parent


@jsii.implements(cdk.ILocalBundling)
class _WithDependencies:
    """Puts dependencies beside the code, as PythonFunction does it in a container."""

    def try_bundle(self, output_dir: str, *args: object, **kwargs: object) -> bool:
        shutil.copytree(_ROOT / "lambdas" / "bundled", output_dir, dirs_exist_ok=True)
        package = Path(output_dir, "dependency")
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text('NAME = "dependency"\n')
        info = Path(output_dir, "dependency-1.0.dist-info")
        info.mkdir(exist_ok=True)
        (info / "RECORD").write_text("dependency/__init__.py,,\n")
        return True


class ShopStack(cdk.Stack):
    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        common = lambda_.LayerVersion(self, "Common", code=lambda_.Code.from_asset("layers/common"))
        self._add("Greeter", lambda_.Code.from_asset("lambdas/greeter"), layers=[common])
        bundling = cdk.BundlingOptions(
            image=lambda_.Runtime.PYTHON_3_13.bundling_image, local=_WithDependencies()
        )
        self._add("Bundled", lambda_.Code.from_asset("lambdas/bundled", bundling=bundling))
        self._add(
            "Inline",
            lambda_.Code.from_inline(
                "def handler(event, context):\n    return {'ran': 'inline'}\n"
            ),
            handler="index.handler",
        )

    def _add(
        self,
        id: str,
        code: lambda_.Code,
        handler: str = "app.handler",
        layers: list[lambda_.ILayerVersion] | None = None,
    ) -> None:
        lambda_.Function(
            self,
            id,
            code=code,
            handler=handler,
            layers=layers,
            runtime=lambda_.Runtime.PYTHON_3_13,
            timeout=cdk.Duration.seconds(30),
        )
