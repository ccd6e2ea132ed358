import { ADMIN_DEFAULT } from './admin.ts';
import { type Arguments, CommandFailure, defineCommand, type Options, UsageError } from './command.ts';
import { decide, type Question } from './decision.ts';
import { decisionText } from './decision-text.ts';
import { PLAN_OPTIONS, readPlan } from './plan-source.ts';
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
  all: { type: 'boolean', description: 'Name every candidate, also those of other paths and hosts' },
} as const satisfies Options;

export const explain = defineCommand({
  name: 'explain',
  summary: 'Show what would become of a request, and why',
  usage:
    "fourways explain METHOD URL [-H 'NAME: VALUE']... | tls://NAME:PORT | tcp://HOST:PORT | udp://HOST:PORT [--config PATH | --admin HOST:PORT]",
  details: [
    'Nothing is sent. The answer comes from the code that serves: parser, path policy, route table.',
    'Without --config, the Fourways that runs at 127.0.0.1:9900 is asked for its plan.',
    '',
    "Example: fourways explain GET http://shop.test/cart?lang=de -H 'x-version: 2' --config gateway/",
  ].join('\n'),
  json:
    '`{ plan, request: { method, scheme, host, port, target, path }, listeners: [{ listener, hostname, port, outcome }], ' +
    'candidates: [{ rule, host, match, at, outcome, why }], rule?: { rule, at, filters, timeouts, retry, tunnel, mirrors, backends: ' +
    '[{ cluster, weight, share, filters, endpoints, tls, invalid }] }, fault?: { code, status, title, detail } }`.',
  options: OPTIONS,

  async run(args, io) {
    const { config, admin, all, json } = args.values;
    const stream = readStreamQuestion(args);
    const question = stream === undefined ? readQuestion(args) : undefined;
    const plan = await readPlan(
      { path: config, admin: admin ?? (config === undefined ? ADMIN_DEFAULT : undefined) },
      io,
    );
    if (question === undefined) {
      const decided = decideStream(plan, stream!);
      io.out(json === true ? JSON.stringify(decided) : streamDecisionText(decided));
      return decided.refused === undefined ? 0 : 1;
    }
    const decision = decide(plan, question);
    if ('ambiguous' in decision) {
      throw new CommandFailure(
        `Cannot choose a listener: several addresses have port ${question.port}. ` +
          `Name one with --listener: ${decision.ambiguous.join(', ')}`,
      );
    }
    io.out(
      json === true
        ? JSON.stringify(decision)
        : decisionText(decision, { palette: io, losers: all === true ? 'all' : 'some', cwd: io.cwd }),
    );
    return decision.rule === undefined ? 1 : 0;
  },
});

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
  const [method, url, more] = positionals;
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
