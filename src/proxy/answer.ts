/**
 * Answers that are made here: problems (RFC 9457) for faults, replies of filters.
 * A problem says code, status and request id; nothing of the upstream leaks.
 */
import type { Fault, FaultExtras } from '../base/fault.ts';
import type { Reply } from '../filter/filter.ts';
import { Headers } from '../http/headers.ts';
import type { ResponseHead } from '../http/message.ts';
import { WEBSOCKET_VERSION } from '../http/ws/handshake.ts';
import type { Hop } from './runtime.ts';

export interface OwnAnswer {
  readonly head: ResponseHead;
  readonly body: Buffer;
}

export interface ProblemFacts {
  readonly requestId: string;
  readonly planVersion: string;
  readonly hop: Hop;
  /** Value of Accept, undefined when there is none. */
  readonly accept: string | undefined;
}

const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

const NO_LINES: Reply['headers'] = [];
const NO_EXTRAS: FaultExtras = {};

export function problemAnswer(fault: Fault, facts: ProblemFacts): OwnAnswer {
  const { status, title, blame } = fault.kind;
  const { requestId, planVersion, hop } = facts;
  const form = preferredForm(facts.accept);
  const { headers = NO_LINES, members } = fault.extras ?? NO_EXTRAS;
  const text = FORMS[form].write({ status, title, code: fault.code, blame, hop, requestId, planVersion }, members);
  const answer = ownAnswer(status, [['content-type', FORMS[form].type], ...headers], text);
  answer.head.headers.add('x-request-id', requestId);
  answer.head.headers.add('cache-control', 'no-store');
  if (fault.code === 'request.connect-refused') {
    answer.head.headers.add('allow', 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH');
  }
  // RFC 6455 section 4.4.
  if (fault.code === 'request.websocket-version') answer.head.headers.add('sec-websocket-version', WEBSOCKET_VERSION);
  return answer;
}

/** An answer whose head is all there: nothing is added to it. */
export function wholeAnswer({ status, body }: Reply, headers: Headers): OwnAnswer {
  return answerOf(status, headers, body);
}

export function replyAnswer(reply: Reply): OwnAnswer {
  return ownAnswer(reply.status, reply.headers, reply.body);
}

function ownAnswer(status: number, fields: Reply['headers'], content: Reply['body']): OwnAnswer {
  const headers = Headers.of(fields);
  headers.add('server', 'fourways');
  return answerOf(status, headers, content);
}

function answerOf(status: number, headers: Headers, content: Reply['body']): OwnAnswer {
  const body = typeof content === 'string' ? Buffer.from(content) : content;
  return { head: { status, reason: REASONS[status] ?? '', headers, bodyLength: body.length }, body };
}

interface ProblemFields {
  readonly status: number;
  readonly title: string;
  readonly code: string;
  readonly blame: string;
  readonly hop: Hop;
  readonly requestId: string;
  readonly planVersion: string;
}

const FORMS = {
  json: {
    type: 'application/problem+json',
    write({ status, title, code, blame, hop, requestId, planVersion }: ProblemFields, members?: object): string {
      const type = `https://fourways.io/faults#${code}`;
      return `${JSON.stringify({ type, title, status, code, blame, hop, requestId, planVersion, ...members })}\n`;
    },
  },
  text: {
    type: 'text/plain; charset=utf-8',
    write({ status, title, code, requestId, planVersion }: ProblemFields): string {
      return `${status} ${title}\ncode: ${code}\nrequest id: ${requestId}\nplan version: ${planVersion}\n`;
    },
  },
  html: {
    type: 'text/html; charset=utf-8',
    write({ status, title, code, requestId, planVersion }: ProblemFields): string {
      // All values are of our own making; the request id was checked to hold no markup.
      return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${status} ${title}</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;color:#1d2733}h1{font-size:1.4rem}dt{color:#5b6b7b}dd{margin:0 0 .5rem;font-family:ui-monospace,monospace}</style><h1>${status} ${title}</h1><dl><dt>Code</dt><dd>${code}</dd><dt>Request id</dt><dd>${requestId}</dd><dt>Plan version</dt><dd>${planVersion}</dd></dl></html>\n`;
    },
  },
} as const;

type Form = keyof typeof FORMS;

const FORM_OF_TYPE: Readonly<Record<string, Form>> = {
  'application/problem+json': 'json',
  'application/json': 'json',
  'application/*': 'json',
  '*/*': 'json',
  'text/html': 'html',
  'application/xhtml+xml': 'html',
  'text/plain': 'text',
  'text/*': 'text',
};

/** RFC 9110 section 12.5.1: the form with the highest quality; the first named wins a tie; JSON when none fits. */
function preferredForm(accept: string | undefined): Form {
  if (accept === undefined || accept.length > 1_024) return 'json';
  let best: Form = 'json';
  let bestQuality = 0;
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';');
    const form = FORM_OF_TYPE[type.trim().toLowerCase()];
    const q = parameters.map((text) => /^\s*q=([01](?:\.\d{0,3})?)\s*$/i.exec(text)?.[1]).find((v) => v !== undefined);
    const quality = q === undefined ? 1 : Number(q);
    if (form === undefined || quality <= bestQuality) continue;
    best = form;
    bestQuality = quality;
  }
  return best;
}
