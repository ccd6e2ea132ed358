/** An authorizer that is asked by a request, as forward authentication of other proxies does. */
import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import type { Env, UpstreamAnswer } from '../../filter/env.ts';
import type { Exchange, Reply } from '../../filter/filter.ts';
import { Headers } from '../../http/headers.ts';
import type { ExtAuthConfig, HttpConfig } from './config.ts';
import { isSettable } from './field-guard.ts';
import type { Allowed, Ask, BodySeen, Decision, FieldChange, Refused, Undecided } from './verdict.ts';

/** What the question says itself, so that nothing of a client can pass for it, however it is spelt. */
const OWN: ReadonlySet<string> = new Set([
  'x-envoy-auth-partial-body',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-method',
  'x-forwarded-proto',
  'x-forwarded-uri',
  'x-original-url',
  'x-request-id',
]);

/** Sent along with a body, because they say how to read it. */
const OF_BODY: readonly string[] = ['content-encoding', 'content-type'];

export function httpQuestions(config: ExtAuthConfig, http: HttpConfig, env: Env): Ask {
  const upstream = env.upstream(config.backend);
  const { answerBytesMax } = config;
  const timeoutMs = parseDuration(config.timeout)!;
  const sent = sentNames(http.requestHeaders);
  const lists: Lists = {
    upstream: lowerCase(config.upstreamHeaders),
    answer: lowerCase(http.answerHeaders),
    refusal: lowerCase(http.refusalHeaders),
  };
  return async (x, body) => {
    const answer = await upstream.ask({
      method: http.method === 'GET' ? 'GET' : x.request.method,
      target: targetOf(x, http.path),
      authority: http.authority ?? x.request.authority,
      headers: question(x, sent, body),
      ...(body !== undefined && { body: body.bytes }),
      timeoutMs,
      answerBytesMax,
    });
    return answer instanceof Fault ? undecided(answer) : read(answer, lists);
  };
}

/** No answer, or one that is too long to be one: which the authorizer's own client could have brought about. */
export function undecided({ code, detail }: Fault): Undecided {
  const isAnswer = code === 'upstream.answer-too-large' || code === 'upstream.malformed';
  return { kind: isAnswer ? 'invalid' : 'away', why: `${code}: ${detail}` };
}

interface Lists {
  readonly upstream: readonly string[];
  readonly answer: readonly string[];
  readonly refusal: readonly string[];
}

export function lowerCase(names: readonly string[]): readonly string[] {
  return names.map((name) => name.toLowerCase());
}

/** Undefined for all. */
export function sentNames(names: readonly string[]): ReadonlySet<string> | undefined {
  return names.includes('*') ? undefined : new Set(lowerCase(names));
}

function targetOf({ request }: Exchange, path: HttpConfig['path']): string {
  const asked = request.path.startsWith('/') ? request.path + request.query : '/';
  if (path === undefined) return asked;
  return path.kind === 'fixed' ? path.value : path.value.replace(/\/$/, '') + asked;
}

function question(x: Exchange, sent: ReadonlySet<string> | undefined, body: BodySeen | undefined): Headers {
  const { request } = x;
  const headers = new Headers();
  request.headers.forEach((name, value) => {
    const lowerName = name.toLowerCase();
    // CGI and WSGI take an underscore for a hyphen (RFC 3875 section 4.1.18).
    if (OWN.has(lowerName.replaceAll('_', '-')) || lowerName === 'content-length' || lowerName === 'host') return;
    const isSent = sent === undefined || sent.has(lowerName);
    if (isSent || (body !== undefined && OF_BODY.includes(lowerName))) headers.add(lowerName, value);
  });
  const uri = request.path + request.query;
  headers.add('x-forwarded-method', request.method);
  headers.add('x-forwarded-proto', request.scheme);
  headers.add('x-forwarded-host', request.authority);
  headers.add('x-forwarded-uri', uri);
  headers.add('x-forwarded-for', x.clientIp);
  headers.add('x-original-url', `${request.scheme}://${request.authority}${uri}`);
  headers.add('x-request-id', x.requestId);
  if (body !== undefined) headers.add('x-envoy-auth-partial-body', String(body.isPart));
  return headers;
}

function read(answer: UpstreamAnswer, lists: Lists): Decision | Undecided {
  const { status } = answer;
  if (status >= 200 && status < 300) return allowed(answer, lists);
  if (status >= 300 && status < 500) return refused(answer, lists);
  return { kind: status >= 500 && status < 600 ? 'away' : 'invalid', why: `It answered ${status}` };
}

function allowed({ headers }: UpstreamAnswer, lists: Lists): Allowed {
  return {
    kind: 'allowed',
    request: taken(headers, lists.upstream),
    remove: [],
    answer: taken(headers, lists.answer),
    query: undefined,
    notes: [],
  };
}

/** Lines of these names, in the order of the list: several of one name stay several. */
function taken(headers: Headers, names: readonly string[]): FieldChange[] {
  return names
    .filter(isSettable)
    .flatMap((name) => headers.getAll(name).map((value) => ({ kind: 'append', name, value }) as const));
}

function refused({ status, headers, body }: UpstreamAnswer, lists: Lists): Refused {
  const answer: Reply = {
    kind: 'reply',
    status,
    reason: 'extAuth',
    headers: taken(headers, lists.refusal).map(({ name, value }) => [name, value] as const),
    body,
  };
  return { kind: 'refused', answer, notes: [] };
}
