#!/usr/bin/env node
import * as cdk from 'aws-cdk-lib';
import { ShopStack, ShopStage } from '../lib/shop-stack';

const app = new cdk.App();

// Two stacks whose functions have equal logical ids, and one whose name is not its id.
new ShopStack(app, 'OrdersStack', { folder: 'lambda/orders' });
new ShopStack(app, 'BillingStack', { folder: 'lambda/billing', stackName: 'company-billing' });

// And the same stack in two Stages, each a cloud assembly of its own.
new ShopStage(app, 'Beta', { folder: 'lambda/orders' });
new ShopStage(app, 'Production', { folder: 'lambda/billing' });
