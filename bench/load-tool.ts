/** Load generators, each run for some seconds on the core of the load. All of them report the same figures. */
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { percentile } from './row.ts';
import type { Address } from './peer.ts';
import { type LoadName, pathOf, type Scenario } from './scenario.ts';

export interface LoadResult {
  /** Requests, or messages with their echo, that were completed. */
  readonly requests: number;
  readonly microseconds: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly errors: number;
}

export interface LoadRun {
  readonly target: Address;
  readonly scenario: Scenario;
  readonly seconds: number;
  readonly core: number;
  /** Scratch folder. */
  readonly dir: string;
}

export type LoadTool = (run: LoadRun) => Promise<LoadResult>;

const run = promisify(execFile);
const PEERS_DIR = fileURLToPath(new URL('peers/', import.meta.url));
/** Of h2load's log of requests only so many are read: enough for a 99th percentile. */
const LOG_LINES_READ = 200_000;
const GRPC_MESSAGE_BYTES = 100;

export const LOAD_TOOLS: Readonly<Record<LoadName, LoadTool>> = {
  wrk,
  h2load,
  'ws-echo': (options) => nodeLoad('ws-load.ts', options),
  'grpc-echo': (options) => nodeLoad('grpc-echo-load.ts', options),
  mtls: (options) => nodeLoad('mtls-load.ts', options, [pathOf(options.scenario), ...clientFiles(options)]),
};

async function wrk({ target, scenario, seconds, core, dir }: LoadRun): Promise<LoadResult> {
  const headers = ['Host: bench.test', ...scenario.headers].flatMap((line) => ['-H', line]);
  const url = `${scenario.tls ? 'https' : 'http'}://${target.host}:${target.port}${pathOf(scenario)}`;
  const script = join(PEERS_DIR, 'wrk.lua');
  const body = scenario.body === undefined ? [] : ['--', bodyFile(dir, scenario.body)];
  const load = ['wrk', '-t1', `-c${scenario.connections}`, `-d${seconds}s`, '-s', script, ...headers, url, ...body];
  const { stdout } = await run('taskset', ['-c', String(core), ...load]);
  return jsonLine(stdout, 'wrk');
}

function bodyFile(dir: string, body: Buffer): string {
  const file = join(dir, 'request.body');
  writeFileSync(file, body);
  return file;
}

/** h2load prints no percentiles: they are taken from its log of requests, a tab-separated line each. */
async function h2load({ target, scenario, seconds, core, dir }: LoadRun): Promise<LoadResult> {
  const { connections, streams, tls, wire } = scenario;
  const log = join(dir, `h2load-${target.port}.log`);
  rmSync(log, { force: true });
  const headers = [':authority: bench.test', ...scenario.headers].flatMap((line) => ['-H', line]);
  const body = wire.back === 'grpc' ? ['-d', grpcMessageFile(dir)] : [];
  const url = `${tls ? 'https' : 'http'}://${target.host}:${target.port}${pathOf(scenario)}`;
  const load = ['h2load', '-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`, `--log-file=${log}`];
  const { stdout } = await run('taskset', ['-c', String(core), ...load, ...headers, ...body, url]);
  const figures =
    /(\d+) total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(stdout);
  const finished = /finished in ([\d.]+)(m?s)/.exec(stdout);
  if (figures === null || finished === null) throw new Error(`Cannot read what h2load printed: ${stdout}`);
  const [, , succeeded, failed, errored, timeout] = figures.map(Number);
  const waits = readFileSync(log, 'latin1')
    .split('\n', LOG_LINES_READ)
    .flatMap((line) => (line === '' ? [] : [Number(line.split('\t')[2])]));
  rmSync(log, { force: true });
  return {
    requests: succeeded!,
    microseconds: Number(finished[1]) * (finished[2] === 's' ? 1e6 : 1e3),
    p50_us: percentile(waits, 50),
    p99_us: percentile(waits, 99),
    errors: failed! + errored! + timeout!,
  };
}

/** One uncompressed message: a flag, four bytes of length, the message. */
function grpcMessageFile(dir: string): string {
  const message = Buffer.alloc(5 + GRPC_MESSAGE_BYTES, 'x');
  message[0] = 0;
  message.writeUInt32BE(GRPC_MESSAGE_BYTES, 1);
  const file = join(dir, 'message.grpc');
  writeFileSync(file, message);
  return file;
}

function clientFiles({ dir, scenario }: LoadRun): string[] {
  const { certificatePem, privateKeyPem } = scenario.clientCertificate!;
  const files = { certificate: join(dir, 'client.crt'), key: join(dir, 'client.key') };
  writeFileSync(files.certificate, certificatePem);
  writeFileSync(files.key, privateKeyPem);
  return Object.values(files);
}

async function nodeLoad(script: string, options: LoadRun, more: readonly string[] = []): Promise<LoadResult> {
  const { target, scenario, seconds, core } = options;
  const { connections, streams } = scenario;
  const args = [...[target.host, target.port, connections, streams, seconds].map(String), ...more];
  const { stdout } = await run('taskset', ['-c', String(core), process.execPath, join(PEERS_DIR, script), ...args]);
  return jsonLine(stdout, script);
}

function jsonLine(stdout: string, tool: string): LoadResult {
  const line = stdout.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`Cannot read what ${tool} printed: ${stdout}`);
  return JSON.parse(line) as LoadResult;
}
