import { ADMIN_DEFAULT } from './admin.ts';
import { callText } from './call-text.ts';
import { type Hop, isRefused, type TreeQuestion, treeFromGateway, treeFromWorkload } from './call-tree.ts';
import {
  type Arguments,
  CommandFailure,
  defineCommand,
  type ExitCode,
  type Io,
  type Options,
  UsageError,
} from './command.ts';
import type { Question } from './decision.ts';
import { openPlans, PLAN_OPTIONS, type PlanSource } from './plan-source.ts';
import { readService } from './sidecar-options.ts';
import { decideStream, streamDecisionText, type StreamQuestion } from './stream-decision.ts';

const OPTIONS = {
  config: { type: 'string', value: 'PATH', description: 'File or folder with the configuration' },
  ...PLAN_OPTIONS,
  header: {
    type: 'string',
    short: 'H',
    multiple: true,
    value: "'NAME: VALUE'",
    description: 'A header of the request',
  },
  listener: {
    type: 'string',
    value: 'NAME',
    description:
      'Only the listeners of this Gateway, or this listener: start, default/start, Gateway/default/start/http',
  },
  from: {
    type: 'string',
    value: 'NAME.NAMESPACE',
    description: 'Workload that calls, through its sidecar: web.shop. Left out, a client outside calls a gateway',
  },
  claim: {
    type: 'string',
    multiple: true,
    value: 'NAME=VALUE',
    description: 'Somebody is authenticated, with this claim; a value that is JSON is taken as that',
  },
  all: { type: 'boolean', description: 'Name every candidate, also those of other paths and hosts' },
} as const satisfies Options;

export const explain = defineCommand({
  name: 'explain',
  summary: 'Show what would become of a request, and why',
  usage:
    "fourways explain [METHOD] URL [-H 'NAME: VALUE']... [--from NAME.NAMESPACE] | tls://NAME:PORT | tcp://HOST:PORT | udp://HOST:PORT [--config PATH | --admin HOST:PORT]",
  details: [
    'Nothing is sent. The answer comes from the code that serves: parser, path policy, route table, authorization.',
    'Where a backend is a service of the mesh, its sidecar is the next hop of the answer.',
    'Without --config, the Fourways that runs at 127.0.0.1:9900 is asked for its plan.',
    '',
    "Examples: fourways explain GET http://shop.test/cart?lang=de -H 'x-version: 2' --config gateway/",
    '          fourways explain --from web.shop http://orders.shop/v2/x',
    '          fourways explain --from web.shop tcp://db.shop:5432',
  ].join('\n'),
  json:
    '`{ plan, request: { method, scheme, host, port, target, path }, listeners: [{ listener, hostname, port, outcome }], ' +
    'candidates: [{ rule, host, match, at, outcome, why }], rule?: { rule, at, filters, timeouts, retry, tunnel, mirrors, backends: ' +
    '[{ cluster, weight, share, filters, endpoints, tls, invalid }] }, fault?: { code, status, title, detail }, ' +
    'kind, at, proxy?, workload?, passedOver?: [{ route, at?, why }], verdicts: [{ filter, owner, at?, outcome, why, status?, audit, certain }], refused?, onward: [{ cluster, ' +
    'share, transport, serverName?, peers, endpoints: [{ address, port, share, transport, zone?, workload?, health?, source? }], ' +
    'left: [{ workload, why }], hop? }] }`; `hop` is again all of this, for the sidecar at `at: "server"`.',
  options: OPTIONS,

  async run(args, io) {
    const { config, admin, from } = args.values;
    const stream = readStreamQuestion(args);
    const question = stream === undefined ? readQuestion(args) : undefined;
    const plans = await openPlans(
      { path: config, admin: admin ?? (config === undefined ? ADMIN_DEFAULT : undefined) },
      io,
    );
    if (from !== undefined) return fromWorkload(args, { plans, question: question ?? viaTunnel(stream!) }, io);
    if (question === undefined) {
      const decided = decideStream(await plans.plan(), stream!);
      io.out(args.values.json === true ? JSON.stringify(decided) : streamDecisionText(decided));
      return decided.refused === undefined ? 0 : 1;
    }
    const hop = await treeFromGateway(await plans.plan(), treeQuestion(args, question, io), plans);
    if ('ambiguous' in hop) {
      throw new CommandFailure(
        `Cannot choose a listener: several addresses have port ${question.port}. ` +
          `Name one with --listener: ${hop.ambiguous.join(', ')}`,
      );
    }
    return print(hop, args, io);
  },
});

type Args = Arguments<typeof OPTIONS>;

async function fromWorkload(
  args: Args,
  { plans, question }: { readonly plans: PlanSource; readonly question: Question },
  io: Io,
): Promise<ExitCode> {
  const { name, namespace } = readService('--from', args.values.from!);
  const asked = treeQuestion(args, question, io);
  return print(await treeFromWorkload({ account: name, namespace }, asked, plans), args, io);
}

function print(hop: Hop, { values: { json, all } }: Args, io: Io): ExitCode {
  io.out(
    json === true
      ? JSON.stringify(hop)
      : callText(hop, { palette: io, losers: all === true ? 'all' : 'some', cwd: io.cwd }),
  );
  return isRefused(hop) ? 1 : 0;
}

function treeQuestion({ values }: Args, question: Question, { clock }: Io): TreeQuestion {
  return { question, claims: readClaims(values.claim), wallMs: () => clock.wallMs() };
}

function readClaims(texts: readonly string[] | undefined): TreeQuestion['claims'] {
  if (texts === undefined) return undefined;
  return Object.fromEntries(
    texts.map((text) => {
      const sign = text.indexOf('=');
      if (sign < 1) throw new UsageError(`Option --claim is "${text}": must be NAME=VALUE`);
      return [text.slice(0, sign), readValue(text.slice(sign + 1))];
    }),
  );
}

/** `true`, `7` and `["a"]` are what they are in a token. */
function readValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What a program sends to the forward proxy to be connected. */
function viaTunnel({ host, port, listener }: StreamQuestion): Question {
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { method: 'GET', scheme: 'http', authority, port, target: '/', headers: [], listener };
}

/** One word with a scheme below HTTP. */
function readStreamQuestion({ values, positionals }: Arguments<typeof OPTIONS>): StreamQuestion | undefined {
  const [url = '', more] = positionals;
  const [, protocol, bracketed, plain, port] =
    /^(tls|tcp|udp):\/\/(?:\[([^\]]+)\]|([^:/]*)):(\d{1,5})$/i.exec(url) ?? [];
  if (protocol === undefined || more !== undefined) return undefined;
  return {
    protocol: protocol.toLowerCase() as StreamQuestion['protocol'],
    host: bracketed ?? plain ?? '',
    port: Number(port),
    listener: values.listener,
  };
}

function readQuestion({ values, positionals }: Arguments<typeof OPTIONS>): Question {
  const [method, url, more] = isUrl(positionals[0]) ? ['GET', ...positionals] : positionals;
  if (method === undefined || url === undefined) throw new UsageError('Name a method and a URL');
  if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
  const headers = (values.header ?? []).map((line) => readHeader(line));
  // Host is told apart, as curl does: the URL says where to connect, -H 'Host: …' what to ask for.
  const host = headers.find(([name]) => name.toLowerCase() === 'host')?.[1];
  return {
    method,
    ...readUrl(url, host),
    headers: headers.filter(([name]) => name.toLowerCase() !== 'host'),
    listener: values.listener,
  };
}

/** No method has such signs (RFC 9110 section 5.6.2). */
function isUrl(word: string | undefined): boolean {
  return word !== undefined && /[/:]/.test(word);
}

function readHeader(line: string): readonly [name: string, value: string] {
  const colon = line.indexOf(':');
  if (colon < 1) throw new UsageError(`Option -H is "${line}": must be 'NAME: VALUE'`);
  return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
}

/** Not the URL standard: it would resolve dot segments before the path policy of the listener has seen them. */
const URL_PARTS = /^(?:(https?):\/\/)?([^/?#]*)([^?#]*)(\?[^#]*)?$/i;

function readUrl(
  url: string,
  hostHeader: string | undefined,
): Pick<Question, 'scheme' | 'authority' | 'port' | 'target'> {
  const [, written = 'http', authority, path = '', query = ''] = URL_PARTS.exec(url) ?? [];
  const address = authority === '' ? hostHeader : authority;
  if (address === undefined || /^[a-z]+:\/\//i.test(url.replace(/^https?:/i, ''))) {
    throw new UsageError(
      `The URL is "${url}": must be like http://shop.test/path, or a path together with -H 'Host: …'`,
    );
  }
  const scheme = written.toLowerCase() === 'https' ? 'https' : 'http';
  return {
    scheme,
    authority: hostHeader ?? address,
    port: readPort(address, scheme),
    target: `${path || '/'}${query}`,
  };
}

function readPort(authority: string, scheme: 'http' | 'https'): number {
  const port = /:(\d{1,5})$/.exec(authority)?.[1];
  if (port !== undefined) return Number(port);
  return scheme === 'https' ? 443 : 80;
}
