// What a Node function's process runs: a loop over the Runtime API, and an end when the emulator
// ends. Arguments: the handler, and a file descriptor that reaches its end when the emulator is gone.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and
// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const Module = require('node:module');
const net = require('node:net');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const [, , HANDLER, LIFELINE] = process.argv;
const ROOT = process.env.LAMBDA_TASK_ROOT;
const [HOST, PORT] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const ANSWERS = '/_tokenfree/custom-resources/';
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
// Kept: the function may replace them.
const send = http.request;
const write = process.stdout.write.bind(process.stdout);
let requestId = '';

function endWithParent(descriptor) {
  const lifeline = new net.Socket({ fd: descriptor, readable: true, writable: false });
  lifeline.on('close', () => process.kill(-process.pid, 'SIGKILL'));
  lifeline.resume();
  lifeline.unref();
}

// AWS's names of APIs lead to the emulator, which knows the API by its Host. So do signed requests to
// services by AWS's names, as of the SDK's version 2, which does not know AWS_ENDPOINT_URL; and answers
// to CloudFormation, which cfn-response and the CDK send to port 443 of the host of ResponseURL.
function leadsHere(host, path, headers) {
  if (/^[a-z0-9]+\.execute-api\./i.test(host) || String(path).startsWith(ANSWERS)) return true;
  const name = Object.keys(headers).find((key) => key.toLowerCase() === 'authorization');
  const isSigned = String(headers[name] || '').startsWith('AWS4-HMAC-SHA256');
  return isSigned && /\.amazonaws\.com(\.cn)?$/i.test(host);
}

function redirectApis(endpoint) {
  if (!endpoint) return;
  const emulator = new URL(endpoint);
  const redirect = (original) =>
    function request(...given) {
      const options = {};
      let callback;
      for (const argument of given) {
        if (typeof argument === 'function') callback = argument;
        else if (typeof argument === 'string' || argument instanceof URL) {
          const url = new URL(argument);
          Object.assign(options, { host: url.host, path: url.pathname + url.search });
        } else Object.assign(options, argument);
      }
      const host = options.hostname || options.host || '';
      const headers = { ...options.headers };
      if (!leadsHere(host, options.path, headers)) return original.apply(this, given);
      if (!Object.keys(headers).some((name) => name.toLowerCase() === 'host')) headers.host = host;
      const { agent: _, protocol: __, ...rest } = options;
      return send(
        { ...rest, host: emulator.hostname, hostname: emulator.hostname, port: emulator.port, headers },
        callback,
      );
    };
  for (const library of [http, https]) {
    const request = redirect(library.request);
    library.request = request;
    library.get = (...given) => {
      const made = request(...given);
      made.end();
      return made;
    };
  }
  Module.syncBuiltinESMExports();
}

// Lambda's SDK lies beside every function; modules of both kinds find it where NODE_PATH says.
function findSharedModules() {
  const folders = (process.env.NODE_PATH || '').split(path.delimiter).filter(Boolean);
  if (folders.length === 0) return;
  const shared = folders.map((folder) => pathToFileURL(path.join(folder, '..', 'shared.mjs')).href);
  if (!Module.registerHooks) {
    // Before Node 22.15: in a thread of its own, and for ES modules only, which need it.
    const hooks = `data:text/javascript,${encodeURIComponent(HOOKS)}`;
    if (Module.register) Module.register(hooks, { data: shared, parentURL: shared[0] });
    return;
  }
  Module.registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (error) {
        if (error.code !== 'ERR_MODULE_NOT_FOUND' && error.code !== 'MODULE_NOT_FOUND') throw error;
        for (const parentURL of shared) {
          try {
            return next(specifier, { ...context, parentURL });
          } catch {
            // not there either
          }
        }
        throw error;
      }
    },
  });
}

const HOOKS = `
let shared = [];
export const initialize = (given) => { shared = given; };
export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    for (const parentURL of shared) {
      try {
        return await next(specifier, { ...context, parentURL });
      } catch {}
    }
    throw error;
  }
}`;

// As Lambda's own runtime writes them: time, request, level, message, parted by tabs.
function patchConsole() {
  const { format } = require('node:util');
  const levels = { debug: 'DEBUG', error: 'ERROR', info: 'INFO', log: 'INFO', trace: 'TRACE', warn: 'WARN' };
  for (const [method, level] of Object.entries(levels)) {
    console[method] = (...given) => {
      const text = format(...given).replace(/\n/g, '\r');
      write(`${new Date().toISOString()}\t${requestId || 'undefined'}\t${level}\t${text}\n`);
    };
  }
}

function call(method, suffix, body) {
  return new Promise((resolve, reject) => {
    const content = body === undefined ? undefined : Buffer.from(body);
    const request = send(
      {
        agent,
        headers: content ? { 'Content-Length': content.length, 'Content-Type': 'application/json' } : {},
        host: HOST,
        method,
        path: `/2018-06-01/runtime/${suffix}`,
        port: PORT,
      },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () =>
          resolve({ body: Buffer.concat(chunks).toString(), headers: response.headers }),
        );
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(content);
  });
}

function fault(error) {
  if (!(error instanceof Error)) {
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  }
  return {
    errorType: error.name,
    errorMessage: error.message,
    trace: (error.stack || '').split('\n'),
  };
}

function named(type, message) {
  const error = new Error(message);
  error.name = type;
  return error;
}

async function load() {
  const found = /^(.*?)([^/]+?)\.(.+)$/.exec(HANDLER.replace(/^(\.\/)+/, ''));
  if (!found) throw named('Runtime.MalformedHandlerName', `Bad handler ${HANDLER}`);
  const [, folder, file, member] = found;
  const base = path.resolve(ROOT, folder, file);
  const name = ['', '.js', '.mjs', '.cjs'].map((end) => base + end).find(
    (one) => fs.existsSync(one) && fs.statSync(one).isFile(),
  );
  if (!name) {
    throw named('Runtime.ImportModuleError', `Error: Cannot find module '${file}'`);
  }
  const loaded = await import(pathToFileURL(name).href);
  const pick = (from) => member.split('.').reduce((value, key) => value && value[key], from);
  // CommonJS exports are in `default`, where one of them may have that name.
  const handler = [pick(loaded), pick(loaded.default)].find((one) => typeof one === 'function');
  if (!handler) {
    throw named('Runtime.HandlerNotFound', `${HANDLER} is undefined or not exported`);
  }
  return handler;
}

function contextOf(headers, settle) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const done = (error, result) => (error ? settle.reject(error) : settle.resolve(result));
  return {
    awsRequestId: requestId,
    callbackWaitsForEmptyEventLoop: true,
    done,
    fail: (error) => done(error || 'handled'),
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    getRemainingTimeInMillis: () => deadline - Date.now(),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    succeed: (result) => done(null, result),
  };
}

// A handler answers by its promise, by a callback, or by leaving nothing to wait for.
function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    const nothingLeft = () => resolve(null);
    const settle = (settled) => (value) => {
      process.removeListener('beforeExit', nothingLeft);
      settled(value);
    };
    const context = contextOf(headers, { resolve: settle(resolve), reject: settle(reject) });
    process.once('beforeExit', nothingLeft);
    try {
      const result = handler(event, context, context.done);
      if (result && typeof result.then === 'function') result.then(settle(resolve), settle(reject));
      else if (result !== undefined && handler.length < 3) settle(resolve)(result);
    } catch (error) {
      settle(reject)(error);
    }
  });
}

async function serve(handler) {
  for (;;) {
    const { body, headers } = await call('GET', 'invocation/next');
    requestId = headers['lambda-runtime-aws-request-id'];
    process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'] || '';
    try {
      const result = await run(handler, JSON.parse(body), headers);
      const answer = JSON.stringify(result === undefined ? null : result);
      await call('POST', `invocation/${requestId}/response`, answer);
    } catch (error) {
      console.error('Invoke Error', JSON.stringify(fault(error)));
      await call('POST', `invocation/${requestId}/error`, JSON.stringify(fault(error)));
    }
  }
}

async function main() {
  endWithParent(Number(LIFELINE));
  redirectApis(process.env.AWS_ENDPOINT_URL);
  findSharedModules();
  patchConsole();
  let handler;
  try {
    handler = await load();
  } catch (error) {
    const known = String(error.name).startsWith('Runtime.');
    const told = known ? error : named('Runtime.UserCodeSyntaxError', `${error.name}: ${error.message}`);
    if (error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND') {
      told.name = 'Runtime.ImportModuleError';
    }
    told.stack = error.stack;
    console.error(told.stack);
    await call('POST', 'init/error', JSON.stringify(fault(told)));
    process.exit(1);
  }
  await serve(handler);
}

main();
