import * as cdk from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

export interface ShopProps extends cdk.StackProps {
  readonly folder: string;
}

function addFunction(scope: Construct, id: string, folder: string, layers: lambda.ILayerVersion[] = []) {
  return new lambda.Function(scope, id, {
    code: lambda.Code.fromAsset(folder, { exclude: ['*.md'] }),
    handler: 'app.handler',
    runtime: lambda.Runtime.PYTHON_3_13,
    timeout: cdk.Duration.seconds(30),
    layers,
  });
}

class AuditStack extends cdk.NestedStack {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    addFunction(this, 'Auditor', 'lambda/audit');
  }
}

export class ShopStack extends cdk.Stack {
  constructor(scope: Construct, id: string, props: ShopProps) {
    super(scope, id, props);
    const layer = new lambda.LayerVersion(this, 'Common', { code: lambda.Code.fromAsset('layer') });
    addFunction(this, 'Handler', props.folder, [layer]);
    new AuditStack(this, 'Audit');
  }
}

export class ShopStage extends cdk.Stage {
  constructor(scope: Construct, id: string, props: ShopProps & cdk.StageProps) {
    super(scope, id, props);
    new ShopStack(this, 'Shop', { folder: props.folder });
  }
}
