import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { systemReason } from '../source/file-problem.ts';
import { type Arguments, CommandFailure, defineCommand, type Options, UsageError } from './command.ts';
import { gatewayApiFiles, shortFormFiles, type Starter, typescriptFiles } from './starters.ts';
import { readCount } from './values.ts';

const OPTIONS = {
  'gateway-api': { type: 'boolean', description: 'Write Gateway API manifests instead of the short form' },
  typescript: { type: 'boolean', description: 'Write a TypeScript configuration instead of the short form' },
  to: { type: 'string', value: 'URL', description: 'Where your service runs; default http://127.0.0.1:3000' },
  port: { type: 'string', value: 'N', description: 'Port to listen on; default 8080' },
  force: { type: 'boolean', description: 'Overwrite files that are there' },
} as const satisfies Options;

export const init = defineCommand({
  name: 'init',
  summary: 'Write a small working configuration to start from',
  usage: 'fourways init [DIR] [--gateway-api | --typescript] [--to URL] [--port N] [--force]',
  details: 'Files that are there are never overwritten without --force. DIR is made when it is not there.',
  json: '`{ files: [path] }`: what was written.',
  options: OPTIONS,

  async run(args, io) {
    const { folder, starter, form } = readInit(args);
    const target = resolve(io.cwd, folder);
    const files = FORMS[form](starter).map(([name, text]) => [join(target, name), text] as const);
    const there = args.values.force === true ? [] : files.filter(([path]) => existsSync(path));
    if (there.length > 0) {
      const names = there.map(([path]) => path).join(', ');
      throw new CommandFailure(`Cannot write ${names}: already there. --force overwrites`);
    }
    await write(target, files);
    if (args.values.json === true) io.out(JSON.stringify({ files: files.map(([path]) => path) }));
    else io.out(nextSteps({ folder, files: files.map(([path]) => path), starter }));
    return 0;
  },
});

type Form = 'short' | 'gateway-api' | 'typescript';

const FORMS: Readonly<Record<Form, (starter: Starter) => [name: string, text: string][]>> = {
  short: shortFormFiles,
  'gateway-api': gatewayApiFiles,
  typescript: typescriptFiles,
};

function readInit({ values, positionals }: Arguments<typeof OPTIONS>): {
  folder: string;
  starter: Starter;
  form: Form;
} {
  const [folder = '.', more] = positionals;
  if (more !== undefined) throw new UsageError(`Unexpected argument "${more}": one folder is enough`);
  const { 'gateway-api': gatewayApi = false, typescript = false, to = 'http://127.0.0.1:3000', port = '8080' } = values;
  if (gatewayApi && typescript) throw new UsageError('Choose one of --gateway-api and --typescript');
  const starter = { ...readTarget(to), listenPort: readCount('--port', port, { min: 1, max: 65_535 }) };
  return { folder, starter, form: gatewayApi ? 'gateway-api' : typescript ? 'typescript' : 'short' };
}

function readTarget(text: string): Omit<Starter, 'listenPort'> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const scheme = url?.protocol === 'http:' ? 'http' : url?.protocol === 'https:' ? 'https' : undefined;
  if (url === undefined || scheme === undefined || url.pathname !== '/' || url.search !== '' || url.username !== '') {
    throw new UsageError(`Option --to is "${text}": must be like http://127.0.0.1:3000, without a path`);
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? (scheme === 'https' ? 443 : 80) : Number(url.port);
  return { scheme, host, port, isName: isIP(host) === 0 };
}

async function write(folder: string, files: readonly (readonly [path: string, text: string])[]): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    for (const [path, text] of files) await writeFile(path, text);
  } catch (error) {
    throw new CommandFailure(`Cannot write into ${folder}: ${systemReason(error)}`);
  }
}

interface Written {
  readonly folder: string;
  readonly files: readonly string[];
  readonly starter: Starter;
}

function nextSteps({ folder, files, starter: { scheme, host, port, listenPort } }: Written): string {
  return [
    ...files.map((path) => `Wrote ${path}`),
    '',
    'Next:',
    `  fourways check ${folder}`,
    `  fourways up ${folder}`,
    `  curl http://127.0.0.1:${listenPort}/fourways    # answered by the gateway itself`,
    `  curl http://127.0.0.1:${listenPort}/            # answered by ${scheme}://${host}:${port}, when that runs`,
  ].join('\n');
}
